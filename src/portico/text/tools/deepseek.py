"""DeepSeek V3, R1 and V3.1: calls between tokens of their own, arguments in a code block or bare."""

from __future__ import annotations

from portico.text.tools.format import Spelling, Toolbox, ToolFormat
from portico.text.tools.json_calls import json_value
from portico.text.tools.marked import is_name, marked, skip
from portico.text.tools.output import Output
from portico.text.tools.source import SPACES, Source, Steps

CALLS, CALLS_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
CALL, CALL_END, SEP = "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>"


def _body(source: Source, out: Output, toolbox: Toolbox, marker: str) -> Steps[bool]:
    """V3 writes `function<sep>name` and the arguments in a block, V3.1 `name<sep>arguments`."""
    if marker == CALLS:
        yield from source.spaces()
        if not (yield from source.take(CALL)):
            return False
    name = (yield from source.run_without("<\n")).strip(SPACES)
    if not (yield from source.take(SEP)):
        return False
    yield from source.spaces()
    if name == "function" and (yield from source.peek()) != "{":
        name = (yield from source.run_without("<\n`{")).strip(SPACES)
        yield from source.spaces()
        if (yield from source.take("```")):
            yield from source.take("json")
        yield from source.spaces()
    if not is_name(name) or (yield from source.peek()) != "{":
        return False
    out.call(name)
    if (yield from json_value(source, out.arguments)):
        for literal in ("```", CALL_END, CALLS_END):
            yield from skip(source, out, literal)
    return True


def _spelling(begin: str, end: str) -> Spelling:
    return Spelling(CALL + begin, end + CALL_END, opening=CALLS, closing=CALLS_END)


_READ = marked((CALLS, CALL), _body)
_MARKERS = (CALLS, CALLS_END, CALL, CALL_END, SEP)
DEEPSEEK_V3 = ToolFormat(
    "deepseek_v3",
    _READ,
    signs=(CALL, "```json"),
    markers=_MARKERS,
    spelling=_spelling(f"function{SEP}BARE\n```json\n", "\n```"),
    trigger=CALLS,
    rivals=(CALL,),
)
DEEPSEEK_V31 = ToolFormat(
    "deepseek_v31",
    _READ,
    signs=(CALL,),
    markers=_MARKERS,
    spelling=_spelling(f"BARE{SEP}", ""),
    trigger=CALLS,
    rivals=(CALL,),
)
