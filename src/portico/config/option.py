"""How an option is declared: a dataclass field whose metadata says all that the command line and the docs need."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any

from portico.errors import ConfigError

UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """What a field's declaration says besides its name, type and default."""

    help: str
    group: str
    parse: Callable[[str], Any] = str
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    aliases: tuple[str, ...] = ()
    """Other spellings of the flag, with their dashes."""
    repeated: bool = False
    """The flag may come several times, or with several values; the field is a tuple."""
    split: Callable[[str], Sequence[str]] | None = None
    """Of a repeated one: how a text holds several values; None: by white space in the environment, else it is one."""


def option(
    default: Any,
    help: str,
    *,
    group: str,
    parse: Callable[[str], Any] = str,
    metavar: str | None = None,
    choices: tuple[str, ...] | None = None,
    aliases: tuple[str, ...] = (),
    repeated: bool = False,
    split: Callable[[str], Sequence[str]] | None = None,
) -> Any:
    """Declare a dataclass field as an option."""
    spec = OptionSpec(help, group, parse, metavar, choices, aliases, repeated, split)
    return field(default=default, metadata={"option": spec})


def declared(cls: type[Any]) -> list[tuple[Field[Any], OptionSpec]]:
    """The options of a dataclass, in order of declaration."""
    return [(f, f.metadata["option"]) for f in fields(cls) if "option" in f.metadata]


def flag(name: str) -> str:
    """The command line's spelling of a field's name."""
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    """The environment's spelling of a field's name."""
    return "PORTICO_" + name.upper()


def from_environment(cls: type[Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Values that the environment sets; raises ConfigError naming a variable with a bad value."""
    values: dict[str, Any] = {}
    for f, spec in declared(cls):
        text = environ.get(variable(f.name))
        if text is None:
            continue
        try:
            value = tuple(map(spec.parse, (spec.split or str.split)(text))) if spec.repeated else spec.parse(text)
        except ValueError as error:
            raise ConfigError(f"{variable(f.name)} is {text!r}: {error}") from None
        if spec.choices is not None and value not in spec.choices:
            raise ConfigError(f"{variable(f.name)} is {text!r}: it must be one of {', '.join(spec.choices)}")
        values[f.name] = value
    return values


def parse_size(text: str) -> int:
    """A number of bytes: 1073741824, 512MiB, 4G; units are powers of 1024."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?\s*", text.lower())
    if match is None:
        raise ValueError("it must be a number of bytes such as 512MiB or 4GiB")
    return int(float(match[1]) * UNITS[match[2]])


def parse_positive(text: str) -> int:
    """A whole number of at least 1."""
    if not re.fullmatch(r"\d+", text.strip()) or int(text) < 1:
        raise ValueError("it must be a whole number of at least 1")
    return int(text)


def parse_count(text: str) -> int:
    """A whole number, 0 included."""
    if not re.fullmatch(r"\d+", text.strip()):
        raise ValueError("it must be a whole number of at least 0")
    return int(text)


def parse_switch(text: str) -> bool:
    """On or off."""
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.strip().lower() not in words:
        raise ValueError("it must be true or false")
    return words[text.strip().lower()]


def parse_port(text: str) -> int:
    """A TCP port; 0 lets the system choose."""
    if not re.fullmatch(r"\d+", text.strip()) or int(text) > 65535:
        raise ValueError("it must be a port from 0 to 65535")
    return int(text)


def parse_list(text: str) -> list[str]:
    """Several strings: as a JSON list, or with commas between them."""
    if not text.lstrip().startswith("["):
        return [part for part in map(str.strip, text.split(",")) if part]
    try:
        items = json.loads(text)
    except ValueError:
        items = None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError('it must be a JSON list of strings such as ["a", "b"], or a,b')
    return items


def parse_seconds(text: str) -> float:
    """A duration of at least 0 seconds."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError("it must be a number of seconds, 0 or more")
    return value
