"""What is asked: conversations made up to wanted lengths, endlessly, the same for the same seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from portico.client.bench.record import Conversation, Turn
from portico.client.bench.words import Words

Said = str | Sequence[int]
Make = Callable[[int, random.Random], Said]
"""Something of so many tokens."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Lengths in tokens."""

    input_len: int
    output_len: int
    range_ratio: float = 0.0
    """Lengths are drawn evenly from length x (1 - ratio) to length x (1 + ratio)."""
    prefix_len: int = 0
    """Beginnings that requests share, before `input_len` tokens of their own."""
    num_prefixes: int = 1
    turns: int = 1


def made_up(shape: Shape, make: Make, seed: int) -> Iterator[Conversation]:
    """Conversations that begin differently, but for the prefixes that they share."""
    rng = random.Random(f"work {seed}")
    prefixes = [make(shape.prefix_len, rng) for _ in range(shape.num_prefixes if shape.prefix_len else 0)]

    def length(usual: int) -> int:
        low, high = math.floor(usual * (1 - shape.range_ratio)), math.ceil(usual * (1 + shape.range_ratio))
        return max(1, rng.randint(low, high))

    def conversation(number: int) -> Conversation:
        turns = [Turn(make(length(shape.input_len), rng), length(shape.output_len)) for _ in range(shape.turns)]
        if prefixes:
            turns[0] = Turn(_joined(prefixes[number % len(prefixes)], turns[0].said), turns[0].max_tokens)
        return turns

    number = 0
    while True:
        yield conversation(number)
        number += 1


def of_words(words: Words) -> Make:
    """Texts."""
    return words.text


def of_ids(vocabulary: int) -> Make:
    """Tokens, without those at the vocabulary's beginning, which are often special."""
    low = min(256, vocabulary // 4)

    def make(tokens: int, rng: random.Random) -> list[int]:
        return [rng.randrange(low, vocabulary) for _ in range(tokens)]

    return make


def again_and_again(conversations: Sequence[Conversation], seed: int) -> Iterator[Conversation]:
    """Those of a file in a drawn order, from the beginning when they are over."""
    order = list(conversations)
    random.Random(f"order {seed}").shuffle(order)
    while True:
        yield from order


def _joined(prefix: Said, said: object) -> Said:
    if isinstance(prefix, str):
        return f"{prefix} {said}"
    assert isinstance(said, Sequence)
    return [*prefix, *said]
