"""`[TOOL_CALLS][{"name": …, "arguments": {…}}]`, later `[TOOL_CALLS]name[ARGS]{…}`: Mistral."""

from __future__ import annotations

import secrets
import string

from portico.text.tools.format import Spelling, Toolbox, ToolFormat
from portico.text.tools.json_calls import json_calls, json_value
from portico.text.tools.marked import is_name, marked
from portico.text.tools.output import Output
from portico.text.tools.source import SPACES, Source, Steps

TAG, CALL_ID, ARGS = "[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"


def _body(source: Source, out: Output, toolbox: Toolbox, marker: str) -> Steps[bool]:
    yield from source.spaces()
    if (yield from source.peek()) in ("[", "{"):
        return (yield from json_calls(source, out, is_name, sure=True))
    name = (yield from source.run_without("[{\n")).strip(SPACES)
    if (yield from source.take(CALL_ID)):
        yield from source.run_without("[{\n")
    yield from source.take(ARGS)
    yield from source.spaces()
    if not is_name(name) or (yield from source.peek()) != "{":
        return False
    out.call(name)
    yield from json_value(source, out.arguments)
    return True


def short_id() -> str:
    """Nine letters and digits: the templates of these models refuse any other id."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(9))


MISTRAL = ToolFormat(
    "mistral",
    marked((TAG,), _body),
    signs=(TAG,),
    markers=(TAG, CALL_ID, ARGS),
    spelling=Spelling('{"name": NAME, "arguments": ', "}", opening=TAG + "[", between=", ", closing="]"),
    trigger=TAG,
    new_id=short_id,
)
