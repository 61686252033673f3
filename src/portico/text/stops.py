"""Stop strings: found across the borders of tokens and deltas, never leaked."""

from __future__ import annotations

from collections.abc import Sequence

from portico.errors import RequestError

MAX_STOP_CHARACTERS = 4096


class StopFinder:
    """Finds the first of several strings in a text that comes in pieces.

    The stop string that is complete first ends the text (of two complete at the same character, the longer one), just
    as if the text were written character by character; how the text is split into pieces never matters. Each string
    is followed by its own Knuth-Morris-Pratt automaton, so the work per character does not grow with their length.
    """

    def __init__(self, stops: Sequence[str], *, include: bool = False) -> None:
        """`include`: the stop string that ends the text is given out as its end."""
        for stop in stops:
            if len(stop) > MAX_STOP_CHARACTERS:
                raise RequestError(
                    f"A stop string is {len(stop)} characters long; at most {MAX_STOP_CHARACTERS} are allowed.",
                    param="stop",
                    code="invalid_value",
                )
        self._needles = [_Needle(stop) for stop in stops]
        self._include = include
        self._held = ""
        self.found: str | None = None
        """The string that ended the text."""

    @property
    def hit(self) -> bool:
        """Whether a stop string is complete."""
        return self.found is not None

    def push(self, text: str, *, search: bool = True) -> str:
        """The part of the text so far, not given out before, that cannot belong to a stop string.

        Sets `hit` once a stop string is complete; the text before it has then been given out, and no more will be.
        Without `search` the text is given out unread: no stop string may begin in it.
        """
        if self.hit:
            return ""
        if not self._needles or not search:
            return text
        text, checked = self._held + text, len(self._held)
        for position in range(checked, len(text)):
            ended = [needle.stop for needle in self._needles if needle.step(text[position])]
            if ended:
                self.found, self._held = max(ended, key=len), ""
                return text[: position + 1 - (0 if self._include else len(self.found))]
        keep = max(needle.matched for needle in self._needles)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """What was held back, when the text has ended without completing a stop string."""
        held, self._held = self._held, ""
        return held


class _Needle:
    """One string and how much of it the end of the text matches."""

    def __init__(self, stop: str) -> None:
        self.stop = stop
        self.matched = 0
        self._borders = _borders(stop)

    def step(self, character: str) -> bool:
        """Take one character; true when it completes the string."""
        matched = self.matched
        while matched and self.stop[matched] != character:
            matched = self._borders[matched - 1]
        if self.stop[matched] == character:
            matched += 1
        self.matched = matched
        return matched == len(self.stop)


def _borders(text: str) -> list[int]:
    """For each prefix, the length of its longest proper prefix that is also its suffix (the KMP failure function)."""
    borders = [0] * len(text)
    length = 0
    for position in range(1, len(text)):
        while length and text[position] != text[length]:
            length = borders[length - 1]
        if text[position] == text[length]:
            length += 1
        borders[position] = length
    return borders
