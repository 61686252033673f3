"""What a tool-call format is, and the tools that a request offers."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portico.text.tools.output import Output
from portico.text.tools.source import Source, Steps


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The functions that a request offers, by name, each with the schema of its parameters."""

    schemas: Mapping[str, Mapping[str, Any]]
    strict: frozenset[str] = frozenset()
    """Those whose arguments must match their schema."""

    @classmethod
    def of(cls, tools: Sequence[Mapping[str, Any]]) -> Toolbox:
        """Read OpenAI's list of tools."""
        functions = [tool["function"] for tool in tools]
        strict = frozenset(function["name"] for function in functions if function.get("strict"))
        return cls({function["name"]: _schema(function.get("parameters")) for function in functions}, strict)

    def offers(self, name: str) -> bool:
        """Whether there is such a tool."""
        return name in self.schemas


def _schema(parameters: Any) -> Mapping[str, Any]:
    return parameters or {"type": "object", "properties": {}}


Reader = Callable[[Source, Output, Toolbox], Steps[None]]
"""Reads a whole answer: all its text goes to the output, as text or as calls."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """How calls whose arguments are JSON are written; `NAME` in `begin` stands for the function's name."""

    begin: str
    end: str = ""
    opening: str = ""
    """Before the first call."""
    between: str = "\n"
    closing: str = ""
    """Behind the last call."""


def random_id() -> str:
    """An id as OpenAI's."""
    return "call_" + secrets.token_hex(12)


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """One way in which models write calls."""

    name: str
    read: Reader
    signs: tuple[str, ...] = ()
    """A chat template that has all of these belongs to a model that writes calls so; none: it cannot be told."""
    markers: tuple[str, ...] = ()
    """What may be special tokens of the vocabulary, which are then part of the text that is read."""
    spelling: Spelling | None = None
    """None: arguments are not JSON, so that calls that must be made are asked for in Hermes' form."""
    trigger: str = ""
    """What begins a call wherever it stands in a text; "" if nothing does."""
    new_id: Callable[[], str] = field(default=random_id)
