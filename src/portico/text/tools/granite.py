"""`<|tool_call|>[{"name": …, "arguments": {…}}]`: Granite 3."""

from __future__ import annotations

from portico.text.tools.format import Spelling, ToolFormat
from portico.text.tools.marked import json_body, marked

TAG = "<|tool_call|>"

GRANITE = ToolFormat(
    "granite",
    marked((TAG, "<tool_call>", "<function_call>"), json_body("</tool_call>")),
    signs=("<|start_of_role|>", TAG),
    markers=(TAG,),
    spelling=Spelling('{"name": NAME, "arguments": ', "}", opening=TAG + "[", between=", ", closing="]"),
    trigger=TAG,
    rivals=("<tool_call>", "<function_call>"),
)
