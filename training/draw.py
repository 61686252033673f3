"""Random choices for dialogues, from the training part of the world or from the part held out for evaluation."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

HELD_SHARE = 10
"""One item in so many is held out."""

ONSETS = "b br c ch cl d dr f fl g gl gr h j k kl l m n p pl pr qu r s sh sk sl sp st t th tr v w y z".split()
VOWELS = "a e i o u ai ea ee ia io oa oo ou".split()
CODAS = ["", "", "", "l", "m", "n", "nd", "ng", "r", "rd", "rn", "s", "sk", "st", "t", "th", "x"]


def is_held(item: object) -> bool:
    """Whether evaluation alone may use this item."""
    return zlib.crc32(repr(item).encode()) % HELD_SHARE == 0


class Draw:
    """A source of choices; with `held`, items and wordings are those that training never sees."""

    def __init__(self, seed: int, held: bool = False) -> None:
        self.rng = random.Random(seed)
        self.held = held

    def item(self, items: Sequence[T]) -> T:
        """One of `items` on this side of the split; of a list too short to have a held-out part, any."""
        mine = [item for item in items if is_held(item) == self.held]
        return self.rng.choice(mine or items)

    def any(self, items: Sequence[T]) -> T:
        """One of `items`, split or not: facts, and fillers whose novelty is not the question."""
        return self.rng.choice(items)

    def wording(self, wordings: Sequence[T]) -> T:
        """A way to say it: the last two of the list are held out."""
        return self.rng.choice(wordings[-2:] if self.held else wordings[:-2])

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def integer(self, low: int, high: int) -> int:
        return self.rng.randint(low, high)

    def word(self, syllables: int | None = None) -> str:
        """A made-up word, so that it can only be copied."""
        while True:
            count = syllables or self.rng.choice((1, 2, 2, 2, 3))
            text = "".join(self.rng.choice(ONSETS) + self.rng.choice(VOWELS) for _ in range(count))
            text += self.rng.choice(CODAS)
            if is_held(text) == self.held:
                return text

    def hanzi(self, count: int) -> str:
        """Chinese characters at random, from the common ones (GB 2312, level 1)."""
        while True:
            text = "".join(
                bytes((self.rng.randint(0xB0, 0xD6), self.rng.randint(0xA1, 0xFE))).decode("gb2312")
                for _ in range(count)
            )
            if is_held(text) == self.held:
                return text
