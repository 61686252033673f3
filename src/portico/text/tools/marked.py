"""The loop that formats share: text up to a marker, a call behind it, text again."""

from __future__ import annotations

from collections.abc import Callable

from portico.text.tools.format import Reader, Toolbox
from portico.text.tools.json_calls import MOST_NAME, json_calls
from portico.text.tools.output import Output
from portico.text.tools.source import SPACES, Source, Steps

Body = Callable[[Source, Output, Toolbox, str], Steps[bool]]
"""Reads what stands behind a marker, which it is given; False if it is no call, and then nothing of it has come out."""


def marked(markers: tuple[str, ...], body: Body, *, fresh_line: frozenset[str] = frozenset()) -> Reader:
    """A format whose calls begin with one of `markers`; those of `fresh_line` only where nothing stands before them.

    What follows a marker and is no call comes out as text, marker included, and reading goes on where that was clear.
    """

    def read(source: Source, out: Output, toolbox: Toolbox) -> Steps[None]:
        while marker := (yield from source.until(markers, out.text)):
            if marker in fresh_line and not out.fresh_line:
                out.text(marker)
                continue
            source.keep(marker)
            is_call = yield from body(source, out, toolbox, marker)
            text = source.kept()
            if not is_call:
                out.text(text)

    return read


def json_body(*ends: str) -> Body:
    """Calls as JSON behind a marker, and one of `ends` if it is there."""

    def body(source: Source, out: Output, toolbox: Toolbox, marker: str) -> Steps[bool]:
        if not (yield from json_calls(source, out, is_name, sure=True)):
            return False
        yield from skip(source, out, *ends)
        return True

    return body


def skip(source: Source, out: Output, *literals: str) -> Steps[None]:
    """Read the first of `literals` that comes next, behind whitespace or not; without it the whitespace is text."""
    space = yield from source.run(SPACES)
    for literal in literals:
        if (yield from source.take(literal)):
            return
    out.text(space)


def is_name(name: str) -> bool:
    """Whether a function could have this name; that it is one of those offered is the client's to check."""
    return bool(name.strip(SPACES)) and len(name) <= MOST_NAME


def name_until(source: Source, end: str) -> Steps[str]:
    """A function's name and the literal behind it; "" if no name stands there."""
    name = yield from source.run_without(end[0] + "\n<>{}\"'")
    name = name.strip(SPACES)
    if not is_name(name) or not (yield from source.take(end)):
        return ""
    return name
