"""Text that comes in pieces, read as if it were there whole: a reader waits where it needs more.

Readers are generators that yield where they wait. What they do depends on the text alone and never on how it is split:
every method here that looks ahead waits until what it tells can no longer change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]
"""A reading that gives a T at its end."""
Say = Callable[[str], None]
SPACES = " \t\r\n"


class Source:
    """A text with a place up to which it has been read."""

    def __init__(self) -> None:
        self._text = ""
        self._place = 0
        self._kept: list[str] | None = None
        self.ended = False

    def push(self, text: str) -> None:
        """More of the text."""
        self._text = self._text[self._place :] + text
        self._place = 0

    def keep(self, text: str) -> None:
        """From here on remember what is read, behind `text`."""
        self._kept = [text]

    def kept(self) -> str:
        """What has been read since `keep`; it is forgotten now."""
        kept, self._kept = "".join(self._kept or ()), None
        return kept

    def _take(self, count: int) -> str:
        piece = self._text[self._place : self._place + count]
        self._place += count
        if self._kept is not None:
            self._kept.append(piece)
        return piece

    def unread(self, text: str) -> None:
        """Put back `text`, which has just been read."""
        begin = self._place - len(text)
        if begin >= 0 and self._text.startswith(text, begin):
            self._place = begin
        else:
            self._text = text + self._text[self._place :]
            self._place = 0
        if self._kept is not None:
            self._kept = ["".join(self._kept).removesuffix(text)]

    def peek(self) -> Steps[str]:
        """The next character, "" at the end."""
        while self._place == len(self._text):
            if self.ended:
                return ""
            yield
        return self._text[self._place]

    def next(self) -> Steps[str]:
        """Read one character, "" at the end."""
        character = yield from self.peek()
        return self._take(len(character))

    def take(self, literal: str) -> Steps[bool]:
        """Read `literal` if it comes next, else nothing."""
        while not self._text.startswith(literal, self._place):
            if self.ended or not literal.startswith(self._text[self._place :]):
                return False
            yield
        self._take(len(literal))
        return True

    def run(self, characters: Collection[str], say: Say | None = None) -> Steps[str]:
        """Read as many of `characters` as come next."""
        return (yield from self._while(lambda character: character in characters, say))

    def run_without(self, characters: str, say: Say | None = None) -> Steps[str]:
        """Read up to the first of `characters`."""
        return (yield from self._while(lambda character: character not in characters, say))

    def _while(self, wanted: Callable[[str], bool], say: Say | None) -> Steps[str]:
        """With `say` the text is said as it comes and not returned."""
        pieces: list[str] = []
        while True:
            end = self._place
            while end < len(self._text) and wanted(self._text[end]):
                end += 1
            stopped = end < len(self._text)
            if end > self._place:
                piece = self._take(end - self._place)
                if say is None:
                    pieces.append(piece)
                else:
                    say(piece)
            if stopped or self.ended:
                return "".join(pieces)
            yield

    def spaces(self) -> Steps[None]:
        """Read whitespace."""
        yield from self.run(SPACES)

    def until(self, needles: tuple[str, ...], say: Say) -> Steps[str]:
        """Say the text before the first of `needles`, which is read and returned; "" if there is none up to the end.

        Of needles that begin at the same place the one that is listed first is found.
        """
        prefixes, longest = _proper_prefixes(needles)
        while True:
            place, needle = self._first(needles)
            # Another needle may yet turn out to begin before the one found, or at the same place.
            held = len(self._text) if self.ended else self._held(prefixes, longest)
            if (before := min(place, held)) > self._place:
                say(self._take(before - self._place))
            if needle and (place < held or self.ended):
                return self._take(len(needle))
            if self.ended:
                return ""
            yield

    def _first(self, needles: tuple[str, ...]) -> tuple[int, str]:
        first, found = len(self._text), ""
        for needle in needles:
            place = self._text.find(needle, self._place)
            if 0 <= place < first:
                first, found = place, needle
        return first, found

    def _held(self, prefixes: frozenset[str], longest: int) -> int:
        """Where the end of the text begins that may grow into a needle."""
        for start in range(max(self._place, len(self._text) - longest), len(self._text)):
            if self._text[start:] in prefixes:
                return start
        return len(self._text)


@lru_cache(maxsize=256)
def _proper_prefixes(needles: tuple[str, ...]) -> tuple[frozenset[str], int]:
    prefixes = frozenset(needle[:count] for needle in needles for count in range(1, len(needle)))
    return prefixes, max((len(needle) - 1 for needle in needles), default=0)
