"""Calls that must be made, or must match their schema, as a grammar that the engine can follow."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from portico.errors import RequestError
from portico.protocol.sampling import Guided
from portico.text.grammar import JSON_SPACE, check_grammar, compile_grammar
from portico.text.tools.format import Spelling, Toolbox

ANY_OBJECT: Mapping[str, Any] = {"type": "object"}
MOST_CALLS = 16
"""Calls in one answer that must have some: without an end a model might never find one."""

Marker = Callable[[str], int | None]
"""The id of a text that is one token which grammars know by its id alone, or None."""


def forced_calls(spelling: Spelling, toolbox: Toolbox, names: Sequence[str], parallel: bool, marker: Marker) -> str:
    """An answer that is nothing but calls of these tools; arguments match their schemas."""
    count = MOST_CALLS if parallel else 1
    more = f" (between call){{0,{count - 1}}}" if count > 1 else ""
    rules = [
        f"start: opening call{more} closing",
        f"opening: {lark_text(spelling.opening, marker)}",
        f"between: {lark_text(spelling.between, marker)}",
        f"closing: {lark_text(spelling.closing, marker)}",
        *_call_rules(spelling, toolbox, names, marker, strict=frozenset(names)),
    ]
    return _checked("\n".join(rules))


def checked_calls(spelling: Spelling, trigger: str, toolbox: Toolbox, marker: Marker) -> str:
    """Any text; but from `trigger` on a call, of which those of strict tools match their schema."""
    head = lark_text(spelling.opening, marker, behind=trigger)
    begins_list = bool(spelling.opening)
    names = list(toolbox.schemas)
    rest = f"{head} call (between call)* closing" if begins_list else "call"
    is_token = all(marker(piece) is not None for piece in _split(trigger, marker))
    start = f"TEXT {lark_text(trigger, marker)}" if is_token else "trigger"
    rules = [
        f"start: ({start} {rest})* TEXT",
        *([] if is_token else [f"trigger[lazy]: TEXT {json.dumps(trigger, ensure_ascii=False)}"]),
        r"TEXT: /(.|\n)*/",
        *([f"between: {lark_text(spelling.between, marker)}"] if begins_list else []),
        *([f"closing: {lark_text(spelling.closing, marker)}"] if begins_list else []),
        *_call_rules(spelling, toolbox, names, marker, strict=toolbox.strict, behind="" if begins_list else trigger),
    ]
    return _checked("\n".join(rules))


def check_schemas(toolbox: Toolbox, names: Sequence[str]) -> None:
    """RequestError, naming the tool, for a schema that cannot be honoured."""
    for place, name in enumerate(toolbox.schemas):
        if name in names:
            schema = json.dumps(toolbox.schemas[name])
            compile_grammar(Guided(kind="json", value=schema, field=f"tools.{place}.function.parameters"))


def _call_rules(
    spelling: Spelling,
    toolbox: Toolbox,
    names: Sequence[str],
    marker: Marker,
    *,
    strict: frozenset[str],
    behind: str = "",
) -> list[str]:
    rules = ["call: " + " | ".join(f"call_{number}" for number in range(len(names)))]
    for number, name in enumerate(names):
        begin = spelling.begin.replace("NAME", json.dumps(name)).replace("BARE", name)
        schema = {**(toolbox.schemas[name] if name in strict else ANY_OBJECT), **JSON_SPACE}
        value = "%json " + json.dumps(schema, ensure_ascii=False)
        rules.append(
            f"call_{number}: {lark_text(begin, marker, behind=behind)} args_{number} {lark_text(spelling.end, marker)}"
        )
        rules.append(f"args_{number}: {value}")
    return rules


def lark_text(text: str, marker: Marker, behind: str = "") -> str:
    """Literal text in Lark; tokens that grammars know by their ids alone by those."""
    text = text.removeprefix(behind)
    if not text:
        return '""'
    pieces: list[str] = []
    for piece in _split(text, marker):
        token = marker(piece)
        pieces.append(json.dumps(piece, ensure_ascii=False) if token is None else f"<[{token}]>")
    return " ".join(pieces)


def _split(text: str, marker: Marker) -> list[str]:
    """The text cut around tokens that have an id, which are in angle brackets or in square ones."""
    pieces, start, place = [], 0, 0
    while place < len(text):
        end = text.find({"<": ">", "[": "]"}.get(text[place], "\0"), place) + 1
        if end and marker(text[place:end]) is not None:
            pieces += [text[start:place], text[place:end]]
            start = place = end
        else:
            place += 1
    return [piece for piece in [*pieces, text[start:]] if piece]


def _checked(lark: str) -> str:
    try:
        return check_grammar(lark)
    except ValueError as error:
        raise RequestError(f"tools cannot be honoured: {error}", param="tools", code="invalid_value") from error
