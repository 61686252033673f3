"""Grammars in the words of Lark, as llguidance has it: literal text, and tokens that are known by their ids alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

Marker = Callable[[str], int | None]
"""The id of a text that is one token which grammars know by its id alone, or None."""

ANY = r"(.|\n)*"
"""The regular expression of any text."""


def lark_text(text: str, marker: Marker, behind: str = "") -> str:
    """Literal text in Lark, from `behind` on; tokens that grammars know by their ids alone by those."""
    text = text[text.find(behind) + len(behind) :] if behind in text else text
    if not text:
        return '""'
    pieces: list[str] = []
    for piece in split(text, marker):
        token = marker(piece)
        pieces.append(quoted(piece) if token is None else f"<[{token}]>")
    return " ".join(pieces)


def quoted(text: str) -> str:
    """A literal in Lark."""
    return json.dumps(text, ensure_ascii=False)


def pattern(text: str) -> str:
    """A literal in a regular expression in Lark."""
    return re.sub(r"[\\.+*?()|\[\]{}^$/]", r"\\\g<0>", text).replace("\n", r"\n")


def split(text: str, marker: Marker) -> list[str]:
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
