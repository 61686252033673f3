"""Random choices for dialogues, from the training part of the world or from the part held out for evaluation."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Sequence
from typing import TypeVar

from training.world import WORDS

T = TypeVar("T")

HELD_SHARE = 10
"""One item in so many is held out."""

ONSETS = "b br c ch cl d dr f fl g gl gr h j k kl l m n p pl pr qu r s sh sk sl sp st t th tr v w y z".split()
VOWELS = "a e i o u ai ea ee ia io oa oo ou".split()
CODAS = ["", "", "", "l", "m", "n", "nd", "ng", "r", "rd", "rn", "s", "sk", "st", "t", "th", "x"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
CHOICE = re.compile(r"\[([^\[\]]*)\]")


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

    def wording(self, patterns: Sequence[str]) -> str:
        """A way to say it: the last two patterns are held out, and so is what reads the same."""
        held = patterns[-2:]
        if self.held:
            return self.spelt(self.rng.choice(held))
        while True:
            text = self.spelt(self.rng.choice(patterns[:-2]))
            if not any(_plain(text) == _plain(other) for other in held):
                return text

    def spelt(self, pattern: str) -> str:
        """`pattern` with one option of each `[this|or that]`, as a sentence that mostly begins with a capital."""
        while "[" in pattern:
            pattern = CHOICE.sub(lambda match: self.rng.choice(match[1].split("|")), pattern)
        text = pattern.rstrip()
        return text if self.chance(0.15) else text[:1].upper() + text[1:]

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def integer(self, low: int, high: int) -> int:
        return self.rng.randint(low, high)

    def word(self, syllables: int | None = None) -> str:
        """A word that can only be copied: made of syllables, now and then of any letters, or a real one."""
        while True:
            text = self._word(syllables)
            if is_held(text) == self.held:
                return text

    def _word(self, syllables: int | None) -> str:
        if syllables is None and self.chance(0.15):
            return "".join(self.rng.choices(LETTERS, k=self.integer(3, 9)))
        if syllables is None and self.chance(0.2):
            return self.rng.choice(WORDS)
        count = syllables or self.rng.choice((1, 2, 2, 2, 3))
        made = "".join(self.rng.choice(ONSETS) + self.rng.choice(VOWELS) for _ in range(count))
        return made + self.rng.choice(CODAS)

    def hanzi(self, count: int) -> str:
        """Chinese characters at random, from the common ones (GB 2312, level 1)."""
        while True:
            text = "".join(
                bytes((self.rng.randint(0xB0, 0xD6), self.rng.randint(0xA1, 0xFE))).decode("gb2312")
                for _ in range(count)
            )
            if is_held(text) == self.held:
                return text


def _plain(text: str) -> str:
    """Text without case, spaces and punctuation at its ends: what two wordings must differ in."""
    return text.lower().strip(" .?!:,。")
