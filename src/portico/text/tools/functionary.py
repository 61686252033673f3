"""`<function=name>{…}</function>` of Functionary and Llama, and bare JSON lists of calls."""

from __future__ import annotations

from portico.text.tools.format import Spelling, Toolbox, ToolFormat
from portico.text.tools.json_calls import json_calls, json_value
from portico.text.tools.marked import marked, name_until, skip
from portico.text.tools.opening import json_opening
from portico.text.tools.output import Output
from portico.text.tools.source import Source, Steps


def _function(source: Source, out: Output, toolbox: Toolbox, marker: str) -> Steps[bool]:
    name = yield from name_until(source, ">")
    yield from source.spaces()
    if not name or (yield from source.peek()) != "{":
        return False
    out.call(name)
    if (yield from json_value(source, out.arguments)):
        yield from skip(source, out, "</function>")
    return True


def _list(source: Source, out: Output, toolbox: Toolbox, marker: str) -> Steps[bool]:
    """A list is one of calls if its first object names a tool that is offered and has arguments."""
    source.unread(marker)
    return (yield from json_calls(source, out, toolbox.offers, sure=False))


FUNCTIONARY = ToolFormat(
    "functionary",
    marked(("<function=",), _function),
    signs=("<function=", "</function>"),
    spelling=Spelling("<function=BARE>", "</function>"),
    trigger="<function=",
)
JSON_LIST = ToolFormat(
    "json_list",
    marked(("[",), _list, fresh_line=frozenset("[")),
    spelling=Spelling('{"name": NAME, "arguments": ', "}", opening="[", between=", ", closing="]"),
    opening=json_opening("arguments"),
)
