"""Arguments that are written as bare text: what they mean is told by the tool's schema."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portico.text.tools.format import Toolbox
from portico.text.tools.json_calls import json_value
from portico.text.tools.kinds import kinds_of
from portico.text.tools.marked import name_until
from portico.text.tools.output import Output
from portico.text.tools.source import SPACES, Say, Source, Steps


@dataclass(frozen=True, slots=True)
class Tags:
    """How arguments are written key by key."""

    before_key: str
    after_key: str
    before_value: str
    """What stands between the two, behind whitespace or not; "" if nothing does."""
    after_value: str
    end: str
    """What ends the call."""


def read_tagged(source: Source, out: Output, toolbox: Toolbox, name: str, tags: Tags) -> Steps[bool]:
    """Read a call of `name` from behind its name; False if it is none, and then nothing of it has come out."""
    yield from source.spaces()
    if (yield from source.take(tags.end)):
        out.call(name)
        out.close()
        return True
    before = "{"
    while (yield from source.take(tags.before_key)):
        key = yield from name_until(source, tags.after_key)
        if key and tags.before_value:
            yield from source.spaces()
            key = key if (yield from source.take(tags.before_value)) else ""
        if not key:
            return before != "{"
        if before == "{":
            out.call(name)
        out.arguments(before)
        before = ", "
        if not (yield from read_value(source, out.arguments, toolbox, name, key, (tags.after_value,))):
            return True
        yield from source.spaces()
    if before == "{":
        return False
    out.arguments("}")
    yield from source.take(tags.end)
    return True


def read_value(source: Source, say: Say, toolbox: Toolbox, name: str, key: str, ends: tuple[str, ...]) -> Steps[bool]:
    """Say `"key": value` with the text up to one of `ends` as value; False if none comes.

    A string comes out as it is written, any other value once it is complete.
    """
    say(json.dumps(key, ensure_ascii=False) + ": ")
    kinds = _kinds(toolbox.schemas.get(name, {}), key)
    if kinds <= {"string"}:
        say('"')
        if not (yield from source.until(ends, lambda text: say(_escaped(text)))):
            return False
        say('"')
        return True
    pieces: list[str] = []
    if (yield from _json_before(source, pieces.append, ends)):
        say("".join(pieces).strip())
        return True
    pieces.clear()
    if not (yield from source.until(ends, pieces.append)):
        text = "".join(pieces)
        say(text if text.lstrip(SPACES)[:1] in ("{", "[", '"') else _escaped(text))
        return False
    text = "".join(pieces)
    say(json_of(text.strip(), text))
    return True


def _json_before(source: Source, say: Say, ends: tuple[str, ...]) -> Steps[bool]:
    """Say JSON in whose strings the end's mark may stand, and read the end behind it; nothing is read if it is none."""
    read: list[str] = [(yield from source.run(SPACES))]
    is_value = yield from json_value(source, read.append)
    text = "".join(read)
    space = yield from source.run(SPACES)
    if is_value and is_json(text.strip()):
        for end in ends:
            if (yield from source.take(end.lstrip(SPACES))):
                say(text)
                return True
    source.unread(text + space)
    return False


def json_of(written: str, otherwise: str) -> str:
    """The JSON of a value that is written in JSON or in Python; of the string `otherwise` if it is neither."""
    if is_json(written):
        return written
    try:
        return json.dumps(ast.literal_eval(written), ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return json.dumps(otherwise, ensure_ascii=False)


def is_json(text: str) -> bool:
    """Whether this is one value, numbers of any size among them; not a number and infinity are none."""
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _kinds(schema: Mapping[str, Any], key: str) -> set[str]:
    """The JSON types that a parameter may have; of one that the schema does not describe nothing is known."""
    properties = schema.get("properties")
    described = properties.get(key) if isinstance(properties, Mapping) else None
    return kinds_of(described) if isinstance(described, Mapping) else {"string"}
