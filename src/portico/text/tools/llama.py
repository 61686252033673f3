"""`{"name": …, "parameters": {…}}`, with `<|python_tag|>` before it or nothing: Llama 3.1 and later."""

from __future__ import annotations

from portico.text.tools.format import Spelling, Toolbox, ToolFormat
from portico.text.tools.json_calls import json_call
from portico.text.tools.marked import is_name, marked
from portico.text.tools.opening import json_opening
from portico.text.tools.output import Output
from portico.text.tools.source import Source, Steps

TAG = "<|python_tag|>"


def _body(source: Source, out: Output, toolbox: Toolbox, marker: str) -> Steps[bool]:
    """A bare object is a call if it names a tool that is offered and has parameters; several stand behind `;`."""
    is_tool, sure = (is_name, True) if marker == TAG else (toolbox.offers, False)
    if marker == "{":
        source.unread(marker)
    if not (yield from json_call(source, out, is_tool, sure=sure)):
        return False
    while True:
        source.keep("")
        yield from source.spaces()
        if not (yield from source.take(";")):
            break
        yield from source.spaces()
        if not (yield from json_call(source, out, is_tool, sure=sure)):
            break
    out.text(source.kept())
    return True


LLAMA3_JSON = ToolFormat(
    "llama3_json",
    marked((TAG, "{"), _body, fresh_line=frozenset("{")),
    signs=("<|start_header_id|>", "parameters"),
    markers=(TAG,),
    spelling=Spelling('{"name": NAME, "parameters": ', "}", between="; "),
    opening=json_opening("parameters"),
    loose=(TAG,),
)
