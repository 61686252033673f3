"""How much of a prompt a step computes beside streams, so that these keep their pace: found out by measuring.

A chunk of a prompt is a pause of every running stream. How long a pause depends on the machine, the model and the
number of streams, so the chunk follows the times of the steps: it grows and shrinks until a step with a chunk takes a
certain multiple of the time of a step without one. The times decide when something is computed and never what.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_CHUNK = 16
LEAST_CHUNK = 8
"""Prompts go on however slow the machine is."""
SMALLEST_CHANGE, LARGEST_CHANGE = 0.5, 1.25
"""Of the chunk from one step to the next."""
LARGEST_RISE = 1.05
"""Of the usual time from one look to the next: one step that was held up says little."""
LOOKS = 2
"""Steps without a chunk before the first is believed: the very first of a kind takes longer."""
LOOK_AGAIN = 256
"""Steps after which the usual time is measured anew."""
EXACT = 8
"""Up to so many streams the usual time is kept for each number of them, above for every fourth."""


@dataclass(slots=True)
class _Usual:
    """The time of a step without a chunk."""

    seconds: float
    looks: int
    step: int
    """When it was measured last."""


class Pace:
    """Gives the size of the next chunk; `most` tokens at any time, and always so many if `slowdown` is 0."""

    def __init__(self, most: int, slowdown: float) -> None:
        """`slowdown`: how many times as long as without a chunk a step may take."""
        self._most = most
        self._slowdown = slowdown
        self._chunk = float(min(most, FIRST_CHUNK))
        self._usual: dict[int, _Usual] = {}
        self._steps = 0

    def chunk(self, streams: int) -> int:
        """Prompt tokens for the next step, in which so many sequences decode; 0 where it is to be a measure."""
        if not self._slowdown:
            return self._most
        usual = self._usual.get(_kind(streams))
        if usual is None or usual.looks < LOOKS or self._steps - usual.step > LOOK_AGAIN:
            return 0
        return max(min(self._most, LEAST_CHUNK), int(self._chunk))

    def note(self, streams: int, prompt_tokens: int, seconds: float) -> None:
        """Learn from a step that has been run."""
        if not self._slowdown or not streams:
            return
        self._steps += 1
        usual = self._usual.get(_kind(streams))
        if not prompt_tokens:
            self._look(_kind(streams), usual, seconds)
        elif usual is not None:
            self._adapt(prompt_tokens, seconds / usual.seconds)

    def _look(self, kind: int, usual: _Usual | None, seconds: float) -> None:
        seconds = max(seconds, 1e-6)
        if usual is None:
            self._usual[kind] = _Usual(seconds, 1, self._steps)
        else:
            usual.seconds = min(seconds, usual.seconds * LARGEST_RISE)
            usual.looks += 1
            usual.step = self._steps

    def _adapt(self, tokens: int, slowdown: float) -> None:
        wanted = (self._slowdown - 1) / max(slowdown - 1, 0.01)
        change = min(LARGEST_CHANGE, max(SMALLEST_CHANGE, wanted))
        if change < 1 or tokens >= int(self._chunk):  # a chunk that was not full says nothing about larger ones
            least = min(self._most, LEAST_CHUNK)
            self._chunk = min(float(self._most), max(float(least), min(self._chunk, tokens) * change))


def _kind(streams: int) -> int:
    return streams if streams <= EXACT else streams - streams % 4
