"""What a page's block is, and what has to come of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Repair:
    """What the conversion to text took away, or a placeholder that the reader is to fill in."""

    reason: str
    instead: Mapping[str, str] = field(default_factory=dict)
    """Texts that must be there, and what takes their place."""
    depths: Mapping[str, int] = field(default_factory=dict)
    """From the line on that begins so: how deep it and the lines behind it stand. The lines are in this order."""

    def apply(self, text: str) -> str:
        for old, new in self.instead.items():
            assert old in text, f"{old!r} is not in the block"
            text = text.replace(old, new)
        return _indented(text, self.depths)


def _indented(text: str, depths: Mapping[str, int]) -> str:
    left, depth, lines = list(depths.items()), 0, []
    for line in text.splitlines():
        if left and line.startswith(left[0][0]):
            depth = left.pop(0)[1]
        lines.append("    " * depth + line if line else line)
    assert not left, f"no line begins with {left[0][0]!r}"
    return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A block, known by a text in it."""

    holds: str
    repairs: Sequence[Repair] = ()

    def mend(self, text: str) -> str:
        """The block as it stood in the page before that was converted."""
        for repair in self.repairs:
            text = repair.apply(text)
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Entry):
    """A command that starts a server, for the blocks that talk to its port."""

    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Entry):
    """Code to run: a command, or a client of the server."""

    says: str
    """What must be found in its output, a regular expression whose dot is any character; in its errors if it fails."""
    status: int = 0
    typed: str = ""
    """What a person answers it."""
    follows: bool = False
    """It goes on where the Python before it ended."""
    shown: str = ""
    """What is run behind it to see what came out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Entry):
    """JSON that the page shows as the answer to the block before: the server's has the same fields with such values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters(Entry):
    """Fields of requests to a path, with their defaults: the server knows them and takes these values."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRun(Entry):
    """A block that cannot run here."""

    reason: str


@dataclass(frozen=True, slots=True)
class Document:
    """A page: whose program it is about, and its blocks in order."""

    name: str
    program: Mapping[str, str]
    """What Portico's is called in the place of that program."""
    models: Sequence[str]
    """Where its models are, below the folder that the server is started in."""
    entries: Sequence[Entry]
    aliases: Sequence[str] = ()
    """Other names that its requests ask for, all of them, with that of its command first."""
