"""What a tool-call format is, and the tools that a request offers."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portico.text.tools.arguments import JSON_OBJECT, Arguments
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
    """How calls are written; in `begin` NAME stands for the function's name in quotes, BARE for it as it is."""

    begin: str
    end: str = ""
    opening: str = ""
    """Before the first call."""
    between: str = "\n"
    closing: str = ""
    """Behind the last call."""
    arguments: Arguments = JSON_OBJECT

    @property
    def parts(self) -> tuple[str, str, bool]:
        """What stands before and behind the name, and whether that is in quotes."""
        is_quoted = "NAME" in self.begin
        before, _, behind = self.begin.partition("NAME" if is_quoted else "BARE")
        return before, behind, is_quoted

    def starting(self, name: str) -> str:
        """The beginning of a call of this function."""
        before, behind, is_quoted = self.parts
        return before + (json.dumps(name) if is_quoted else name) + behind


@dataclass(frozen=True, slots=True)
class Opening:
    """What begins a call of a tool where a form has no marker of its own; regular expressions, NAME being the tool."""

    begin: str
    """A text up to where it is clear that the tool is called."""
    behind: str = ""
    """Up to the arguments."""
    end: str = ""
    """Behind the arguments."""
    never: str = ""
    """What may stand nowhere else, for it might be a part of a call too."""
    otherwise: str = ""
    """What may stand in place of the arguments, so that it was no call after all."""


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
    """None: it is not known, and calls that must be made are asked for in Hermes' form."""
    trigger: str = ""
    """What begins a call wherever it stands in a text; "" if nothing does."""
    opening: Opening | None = None
    """What begins one where there is no trigger."""
    rivals: tuple[str, ...] = ()
    """What begins a call besides, and is kept out of answers in which calls are held to schemas."""
    loose: tuple[str, ...] = ()
    """Markers that such answers may have anywhere, for alone they mean nothing."""
    frames: bool = False
    """Whether answers are written in it from beginning to end, with tools or without, what is thought too."""
    answers: str = ""
    """Of a form that frames: what stands before the text of an answer."""
    new_id: Callable[[], str] = field(default=random_id)
