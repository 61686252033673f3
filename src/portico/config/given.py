"""What people gave as options, in which place; and the one value that comes of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portico.config.option import Option, variable
from portico.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Given:
    """The texts that one place has for an option, and what to call that place."""

    where: str
    texts: tuple[str, ...]


Source = Mapping[str, Given]
"""What one place says, by the options' names."""


def from_environment(options: Iterable[Option], environ: Mapping[str, str]) -> dict[str, Given]:
    """What the PORTICO_* variables say."""
    given: dict[str, Given] = {}
    for option in options:
        text = environ.get(variable(option.name))
        if text is not None:
            several = option.spec.repeated and option.spec.split is None
            given[option.name] = Given(variable(option.name), tuple(text.split()) if several else (text,))
    return given


def settle(options: Iterable[Option], sources: Sequence[Source]) -> dict[str, Any]:
    """The value of each option that is given, the first source before the others; ConfigError names place and value."""
    values: dict[str, Any] = {}
    for option in options:
        given = next((source[option.name] for source in sources if option.name in source), None)
        if given is not None:
            values[option.name] = _read(option, given)
    return values


def _read(option: Option, given: Given) -> Any:
    try:
        return option.read(given.texts)
    except ValueError as error:
        said = "" if option.is_switch and given.texts == ("true",) else f" is {' '.join(given.texts)!r}"
        raise ConfigError(f"{given.where}{said}: {error}") from None


def closest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: which one was perhaps meant."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
