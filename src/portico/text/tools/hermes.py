"""`<tool_call>{"name": …, "arguments": {…}}</tool_call>`: Hermes, Qwen2.5, Qwen3, Granite 4 and many more."""

from __future__ import annotations

from portico.text.tools.format import Spelling, ToolFormat
from portico.text.tools.marked import json_body, marked

HERMES = ToolFormat(
    "hermes",
    marked(("<tool_call>",), json_body("</tool_call>")),
    signs=("<tool_call>", "arguments"),
    markers=("<tool_call>", "</tool_call>"),
    spelling=Spelling('<tool_call>\n{"name": NAME, "arguments": ', "}\n</tool_call>"),
    trigger="<tool_call>",
)
