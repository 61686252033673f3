"""`[f(a=1, b="x"), g()]`: Llama 3.2, Llama 4, ToolACE; arguments are Python's literals."""

from __future__ import annotations

import json
import re

from portico.text.tools.arguments import pythonic
from portico.text.tools.format import Opening, Spelling, Toolbox, ToolFormat
from portico.text.tools.lark import ANY
from portico.text.tools.marked import marked, skip
from portico.text.tools.opening import SPACE
from portico.text.tools.output import Output
from portico.text.tools.source import Source, Steps
from portico.text.tools.values import json_of

START, END = "<|python_start|>", "<|python_end|>"
KEY = re.compile(r"[^\W\d]\w*")


def _body(source: Source, out: Output, toolbox: Toolbox, marker: str) -> Steps[bool]:
    """A list in which the first call is of a tool that is offered."""
    if marker == START:
        yield from source.spaces()
        if not (yield from source.take("[")):
            return False
    if not (yield from _call(source, out, toolbox)):
        return False
    while True:
        source.keep("")
        yield from source.spaces()
        if not (yield from source.take(",")):
            yield from source.take("]")
            yield from skip(source, out, END)
            return True
        if not (yield from _call(source, out, toolbox)):
            out.text(source.kept())
            return True


def _call(source: Source, out: Output, toolbox: Toolbox) -> Steps[bool]:
    yield from source.spaces()
    name = yield from source.run_without("(,=[]{}<> \n\"'")
    if not toolbox.offers(name) or not (yield from source.take("(")):
        return False
    yield from source.spaces()
    if (yield from source.take(")")):
        out.call(name)
        out.close()
        return True
    before = "{"
    while True:
        source.keep(source.kept() if before == "{" else "")
        if not (key := (yield from _key(source))):
            break
        written, end = yield from _literal(source)
        if not end and before == "{":
            return False
        if before == "{":
            out.call(name)
        out.arguments(f"{before}{json.dumps(key, ensure_ascii=False)}: {json_of(written, written)}")
        before = ", "
        if end == ")":
            out.arguments("}")
        if end != ",":
            return True
    if before == "{":
        return False
    out.arguments("}")
    if not (yield from source.take(")")):
        out.text(source.kept())
    return True


def _key(source: Source) -> Steps[str]:
    """The name of an argument and the sign behind it."""
    yield from source.spaces()
    key = yield from source.run_without("=(),[]{}<> \n\"'")
    yield from source.spaces()
    return key if KEY.fullmatch(key) and (yield from source.take("=")) else ""


def _literal(source: Source) -> Steps[tuple[str, str]]:
    """A value as it is written, and the comma or bracket behind it; "" where the text ends first."""
    pieces: list[str] = []
    depth = 0
    while True:
        yield from source.run_without("()[]{},\"'", pieces.append)
        character = yield from source.next()
        if not character or (depth == 0 and character in ",)]}"):
            return "".join(pieces).strip(), character
        pieces.append(character)
        if character in "\"'":
            yield from _quoted(source, character, pieces)
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1


def _quoted(source: Source, quote: str, pieces: list[str]) -> Steps[None]:
    """The rest of a string with its closing quote."""
    while True:
        yield from source.run_without(quote + "\\", pieces.append)
        stop = yield from source.next()
        pieces.append(stop)
        if stop in ("", quote):
            return
        pieces.append((yield from source.next()))


PYTHONIC = ToolFormat(
    "pythonic",
    marked((START, "["), _body, fresh_line=frozenset("[")),
    signs=("func_name1(params_name1=",),
    markers=(START, END),
    spelling=Spelling("BARE(", ")", opening="[", between=", ", closing="]", arguments=pythonic()),
    opening=Opening(rf"{ANY}[\[,]{SPACE}NAME\(", end=r"\)"),
    loose=(START, END),
)
