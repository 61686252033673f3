"""Custom tools, whose input is a text: models know only functions, so each is one with a single string parameter."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from portico.server.wording import wrong

PARAMETER = "input"
_OPENING = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_PLAIN = re.compile(r'[^"\\]+')
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_SURROGATES = range(0xD800, 0xDC00)


def as_function(tool: Mapping[str, Any], field: str) -> tuple[dict[str, Any], bool]:
    """The function that stands for a custom tool, and whether its grammar is only told and not held to.

    A regular expression is what calls are held to. A Lark grammar cannot be followed within a JSON string: the model
    is shown it.
    """
    parameter: dict[str, Any] = {"type": "string"}
    description = tool.get("description")
    if not isinstance(description, str | None):
        raise wrong(f"{field}.description", "must be a string")
    told = [description] if description else []
    strict, loose = None, False
    match tool.get("format"):
        case None | {"type": "text"}:
            pass
        case {"type": "grammar", "syntax": "regex", "definition": str(pattern)}:
            parameter["pattern"] = f"^(?:{pattern})$"
            strict = True
        case {"type": "grammar", "syntax": "lark", "definition": str(grammar)}:
            told.append(f"The input follows this Lark grammar:\n{grammar}")
            loose = True
        case _:
            raise wrong(
                f"{field}.format",
                "must be {type: text} or {type: grammar, syntax: lark or regex, definition: …}",
            )
    schema = {
        "type": "object",
        "properties": {PARAMETER: parameter},
        "required": [PARAMETER],
        "additionalProperties": False,
    }
    function = {"name": tool.get("name"), "description": "\n\n".join(told) or None, "parameters": schema}
    return {**function, **({"strict": True} if strict else {})}, loose


def arguments_of(text: str) -> str:
    """The arguments of the function, for a call that was made earlier."""
    return json.dumps({PARAMETER: text}, ensure_ascii=False)


class InputReader:
    """The text within a call's arguments, as they come; however they are split, the pieces add up to the same."""

    def __init__(self) -> None:
        self._arguments = ""
        self._place = -1
        """Up to where the string is read; -1: it has not begun."""

    def push(self, arguments: str) -> str:
        """More arguments; what they add to the text."""
        self._arguments += arguments
        if self._place < 0:
            opening = _OPENING.match(self._arguments)
            if opening is None:
                return ""
            self._place = opening.end()
        return self._read()

    def end(self) -> str:
        """The rest, when there are no more arguments: all of what is not as it should be."""
        if self._place >= 0:
            return ""
        try:
            value = json.loads(self._arguments)
        except ValueError:
            return self._arguments
        inner = value.get(PARAMETER) if isinstance(value, dict) else None
        return inner if isinstance(inner, str) else "" if value == {} else self._arguments

    def _read(self) -> str:
        """What is complete of the string from its place on."""
        source, pieces = self._arguments, list[str]()
        while self._place < len(source):
            if plain := _PLAIN.match(source, self._place):
                pieces.append(plain[0])
                self._place = plain.end()
                continue
            taken = _escape(source, self._place) if source[self._place] == "\\" else None
            if taken is None:  # the string's end, or an escape that is not all there
                break
            pieces.append(taken[0])
            self._place += taken[1]
        return "".join(pieces)


def _escape(source: str, at: int) -> tuple[str, int] | None:
    """The character that an escape stands for, and how long that is; None: more must come."""
    if len(source) < at + 2:
        return None
    if source[at + 1] != "u":
        return _ESCAPES.get(source[at + 1], source[at + 1]), 2
    unit = _unit(source, at)
    if unit is None:
        return None
    if unit in _SURROGATES:
        second = source[at + 6 : at + 8]
        if second == "\\u":
            low = _unit(source, at + 6)
            if low is None:
                return None
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)), 12
        elif "\\u".startswith(second) and len(source) < at + 8:
            return None
    return ("\ufffd" if 0xD800 <= unit < 0xE000 else chr(unit)), 6


def _unit(source: str, at: int) -> int | None:
    digits = source[at + 2 : at + 6]
    if len(digits) < 4:
        return None
    try:
        return int(digits, 16)
    except ValueError:
        return 0xFFFD
