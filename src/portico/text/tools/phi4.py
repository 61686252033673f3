"""`functools[{"name": …, "arguments": {…}}]` or `<|tool_call|>[…]<|/tool_call|>`: Phi-4-mini."""

from __future__ import annotations

from portico.text.tools.format import Spelling, Toolbox, ToolFormat
from portico.text.tools.json_calls import json_calls
from portico.text.tools.marked import is_name, marked, skip
from portico.text.tools.output import Output
from portico.text.tools.source import Source, Steps

TAG, END, WORD = "<|tool_call|>", "<|/tool_call|>", "functools["


def _body(source: Source, out: Output, toolbox: Toolbox, marker: str) -> Steps[bool]:
    if marker == WORD:
        source.unread("[")
    if not (yield from json_calls(source, out, is_name, sure=True)):
        return False
    yield from skip(source, out, END)
    return True


PHI4 = ToolFormat(
    "phi4",
    marked((WORD, TAG), _body),
    signs=("<|tool|>", "<|/tool|>"),
    markers=(TAG, END),
    spelling=Spelling('{"name": NAME, "arguments": ', "}", opening=WORD, between=", ", closing="]"),
    trigger=WORD,
    rivals=(TAG,),
)
