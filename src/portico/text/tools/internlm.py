"""`<|action_start|><|plugin|>{"name": …, "parameters": {…}}<|action_end|>`: InternLM2 and later."""

from __future__ import annotations

from portico.text.tools.format import Spelling, ToolFormat
from portico.text.tools.marked import json_body, marked

START, PLUGIN, END = "<|action_start|>", "<|plugin|>", "<|action_end|>"

INTERNLM2 = ToolFormat(
    "internlm2",
    marked((START + PLUGIN, START + " " + PLUGIN), json_body(END)),
    signs=(PLUGIN,),
    markers=(START, PLUGIN, END),
    spelling=Spelling(START + PLUGIN + '\n{"name": NAME, "parameters": ', "}" + END),
    trigger=START + PLUGIN,
)
