"""Arguments that are written as bare text: what they mean is told by the tool's schema."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from portico.text.tools.format import Toolbox
from portico.text.tools.source import Say, Source, Steps

CONSTANTS = {"true": True, "false": False, "null": None}


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
    if not (yield from source.until(ends, pieces.append)):
        say(_escaped("".join(pieces)))
        return False
    text = "".join(pieces)
    say(json_of(text.strip(), text))
    return True


def json_of(written: str, otherwise: str) -> str:
    """The JSON of a value that is written in JSON or in Python; of the string `otherwise` if it is neither."""
    try:
        value = CONSTANTS[written] if written in CONSTANTS else ast.literal_eval(written)
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    try:
        return json.dumps(json.loads(written), ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return json.dumps(otherwise, ensure_ascii=False)


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _kinds(schema: Mapping[str, Any], key: str) -> set[str]:
    """The JSON types that a parameter may have; of one that the schema does not describe nothing is known."""
    properties = schema.get("properties")
    described = properties.get(key) if isinstance(properties, Mapping) else None
    return _types(described) if isinstance(described, Mapping) else {"string"}


def _types(schema: Mapping[str, Any]) -> set[str]:
    kind = schema.get("type")
    if isinstance(kind, str):
        return {kind}
    if isinstance(kind, list):
        return {str(item) for item in kind}
    branches = [b for word in ("anyOf", "oneOf") for b in schema.get(word) or () if isinstance(b, Mapping)]
    if branches:
        return set().union(*map(_types, branches))
    options = schema.get("enum")
    if isinstance(options, list) and options and all(isinstance(option, str) for option in options):
        return {"string"}
    return {"any"}
