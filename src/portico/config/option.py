"""How an option is declared: a dataclass field whose metadata says all that the command line and the docs need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, get_type_hints

from portico.config.values import parse_switch


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """What an option's declaration says besides its name and default."""

    help: str
    group: str
    parse: Callable[[str], Any] = str
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    aliases: tuple[str, ...] = ()
    """Other spellings of the flag, with their dashes."""
    off: tuple[str, ...] = ()
    """Of a switch: flags that turn it off, besides --no-NAME."""
    valued: tuple[tuple[str, str], ...] = ()
    """Of a switch: flags that say by a value whether it is on, and what that value may be."""
    words: tuple[tuple[str, str], ...] = ()
    """Flags without a value that stand for one: ("--only-cpu", "cpu")."""
    repeated: bool = False
    """The flag may come several times, or with several values; the field is a tuple."""
    single: tuple[str, ...] = ()
    """Of a repeated one: flags that take one value at a time, so that MODEL may stand behind it."""
    split: Callable[[str], Sequence[str]] | None = None
    """Of a repeated one: how a text holds several values; None: by white space in the environment, else it is one."""
    idle: str | None = None
    """Why it has no effect here and does no harm; None for those that have one."""
    limited: bool = False
    """Other servers have more of it than is there."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option: the field that holds it, what it is when nobody says, and its declaration."""

    name: str
    default: Any
    spec: OptionSpec

    @property
    def is_switch(self) -> bool:
        """Whether its flag takes no value."""
        return isinstance(self.default, bool)

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags that set it, or turn it on; the first has its name."""
        return (flag(self.name), *self.spec.aliases)

    @property
    def off_flags(self) -> tuple[str, ...]:
        """The flags that turn it off."""
        return (f"--no-{flag(self.name)[2:]}", *self.spec.off) if self.is_switch else ()

    def read(self, texts: Sequence[str]) -> Any:
        """The value that texts stand for, the last of them unless it is repeated; ValueError says what is right."""
        if self.spec.repeated:
            return tuple(self._one(part) for text in texts for part in (self.spec.split or _whole)(text))
        return self._one(texts[-1])

    def _one(self, text: str) -> Any:
        value = self.spec.parse(text)
        if self.spec.choices is not None and value not in self.spec.choices:
            raise ValueError(f"it must be one of {', '.join(self.spec.choices)}")
        return value


def option(default: Any, help: str, *, group: str, **details: Any) -> Any:
    """Declare a dataclass field as an option; the details are the fields of `OptionSpec`."""
    if isinstance(default, bool):
        details.setdefault("parse", parse_switch)
    return field(default=default, metadata={"option": OptionSpec(help, group, **details)})


def declared(cls: type[Any]) -> Iterator[Option]:
    """The options of a dataclass and of the dataclasses it is made of, in order of declaration."""
    types = get_type_hints(cls)
    for f in fields(cls):
        if "option" in f.metadata:
            yield Option(f.name, f.default, f.metadata["option"])
        else:
            yield from declared(types[f.name])


def flag(name: str) -> str:
    """The command line's spelling of a field's name."""
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    """The environment's spelling of a field's name."""
    return "PORTICO_" + name.upper()


def _whole(text: str) -> list[str]:
    return [text]
