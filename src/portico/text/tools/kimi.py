"""Kimi K2: calls between tokens of their own, `functions.name:0` and JSON."""

from __future__ import annotations

import re

from portico.text.tools.format import Spelling, Toolbox, ToolFormat
from portico.text.tools.json_calls import json_value
from portico.text.tools.marked import is_name, marked, skip
from portico.text.tools.output import Output
from portico.text.tools.source import SPACES, Source, Steps

CALLS, CALLS_END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
CALL, ARGUMENTS, CALL_END = "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"
NUMBERED = re.compile(r"(?:functions\.)?(.*?)(?::\d+)?", re.DOTALL)


def _body(source: Source, out: Output, toolbox: Toolbox, marker: str) -> Steps[bool]:
    if marker == CALLS:
        yield from source.spaces()
        if not (yield from source.take(CALL)):
            return False
    written = (yield from source.run_without("<\n{")).strip(SPACES)
    match = NUMBERED.fullmatch(written)
    name = match[1] if match else ""
    if not is_name(name) or not (yield from source.take(ARGUMENTS)):
        return False
    yield from source.spaces()
    if (yield from source.peek()) != "{":
        return False
    out.call(name)
    if (yield from json_value(source, out.arguments)):
        for literal in (CALL_END, CALLS_END):
            yield from skip(source, out, literal)
    return True


KIMI_K2 = ToolFormat(
    "kimi_k2",
    marked((CALLS, CALL), _body),
    signs=(CALL, ARGUMENTS),
    markers=(CALLS, CALLS_END, CALL, ARGUMENTS, CALL_END),
    spelling=Spelling(f"{CALL}functions.BARE:0{ARGUMENTS}", CALL_END, opening=CALLS, between="", closing=CALLS_END),
    trigger=CALLS,
    rivals=(CALL,),
)
