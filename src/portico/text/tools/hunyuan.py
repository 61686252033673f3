"""`<tool_calls>[{"name": …, "arguments": {…}}]</tool_calls>`: Hunyuan; MiniMax M1 writes objects line by line there."""

from __future__ import annotations

from portico.text.tools.format import Spelling, Toolbox, ToolFormat
from portico.text.tools.json_calls import json_call, json_calls
from portico.text.tools.marked import is_name, marked, skip
from portico.text.tools.output import Output
from portico.text.tools.source import Source, Steps

TAG, END = "<tool_calls>", "</tool_calls>"


def _body(source: Source, out: Output, toolbox: Toolbox, marker: str) -> Steps[bool]:
    if not (yield from json_calls(source, out, is_name, sure=True)):
        return False
    while True:
        source.keep("")
        yield from source.spaces()
        if (yield from source.peek()) != "{":
            break
        if not (yield from json_call(source, out, is_name, sure=True)):
            out.text(source.kept())
            return True
    out.text(source.kept())
    yield from skip(source, out, END)
    return True


HUNYUAN = ToolFormat(
    "hunyuan",
    marked((TAG,), _body),
    signs=(TAG, END),
    markers=(TAG, END),
    spelling=Spelling('{"name": NAME, "arguments": ', "}", opening=TAG + "[", between=", ", closing="]" + END),
    trigger=TAG,
)
