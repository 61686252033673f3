"""What a reader makes of a text: what is said, and calls with their arguments."""

from __future__ import annotations

from dataclasses import dataclass

from portico.text.tools.source import SPACES


@dataclass(frozen=True, slots=True)
class Said:
    """Text of the answer itself."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """Text that the model thinks."""

    text: str


@dataclass(frozen=True, slots=True)
class Called:
    """A call begins."""

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class Argued:
    """The JSON text of a call's arguments goes on."""

    index: int
    text: str


Piece = Said | Thought | Called | Argued


class Enough(Exception):  # noqa: N818 - no error
    """No further call is wanted: the answer ends here."""


class Output:
    """Collects pieces; the whitespace that formats put around calls is no part of the answer."""

    def __init__(self, most_calls: int | None = None) -> None:
        self._pieces: list[Piece] = []
        self._most_calls = most_calls
        self._space = ""
        self._has_said = False
        self._has_thought = False
        self._said_apart = self._thought_apart = False
        self._argued = False
        self.calls = 0
        self.thinks = False
        """Whether what is being read is thought."""
        self.fresh_line = True
        """Whether nothing but whitespace stands between here and the start of the line, or the latest call."""

    def drain(self) -> list[Piece]:
        """The pieces since the last time."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def part(self, *, thinks: bool) -> None:
        """Another message of several begins, whose text stands on lines of its own."""
        self.thinks = thinks
        self._said_apart, self._thought_apart = self._has_said, self._has_thought

    def thought(self, text: str) -> None:
        """More of what the model thinks."""
        if text:
            self._add(Thought("\n" + text if self._thought_apart else text))
            self._has_thought, self._thought_apart = True, False

    def text(self, text: str) -> None:
        """Text that belongs to no call; whitespace waits for what follows it."""
        if text and self._said_apart:
            self._space, self._said_apart = "\n", False
        body = text.rstrip(SPACES)
        if "\n" in text:
            self.fresh_line = not text[text.rfind("\n") :].strip(SPACES)
        elif body:
            self.fresh_line = False
        if not body:
            self._space += text
            return
        space = self._space if self._has_said or not self.calls else ""
        said = space + (body if space or self._has_said or not self.calls else body.lstrip(SPACES))
        self._space, self._has_said = text[len(body) :], True
        self._add(Said(said))

    def call(self, name: str) -> None:
        """A call begins; Enough if it is one more than wanted."""
        if self.calls == self._most_calls:
            raise Enough
        self._space, self._argued, self.fresh_line = "", False, True
        self.calls += 1
        self._add(Called(self.calls - 1, name))

    def arguments(self, text: str) -> None:
        """More of the arguments of the latest call."""
        if text:
            self._argued = True
            self._add(Argued(self.calls - 1, text))

    def close(self) -> None:
        """The latest call is complete; one without arguments has an empty object."""
        if not self._argued:
            self.arguments("{}")

    def end(self) -> None:
        """The text is over: whitespace at its end counts where there were no calls."""
        if self._space and not self.calls:
            self._add(Said(self._space))
        self._space = ""

    def _add(self, piece: Piece) -> None:
        last = self._pieces[-1] if self._pieces else None
        match last, piece:
            case Said(before), Said(text):
                self._pieces[-1] = Said(before + text)
            case Thought(before), Thought(text):
                self._pieces[-1] = Thought(before + text)
            case Argued(index, before), Argued(same, text) if index == same:
                self._pieces[-1] = Argued(index, before + text)
            case _:
                self._pieces.append(piece)
