"""Endless training batches from the mixture: each chunk of dialogues is a function of the seed and its number."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.dialogue import STOP
from training.mix import sample
from training.tokenizer import MARKS, SPECIAL

CHUNK = 1536
"""Dialogues made, sorted by length and cut into batches together."""
MAX_LENGTH = 1024
COPY_ONE_IN = 6
"""One sample in so many is nothing but copying."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids [dialogues, length], padded on the right, and which of them are to be predicted."""

    ids: Tensor
    learned: Tensor
    """Boolean, as ids: this token is a target."""
    tokens: int
    """Without padding."""


def chunk(tokenizer: Tokenizer, seed: int, number: int, batch_tokens: int) -> list[Batch]:
    """The batches of one chunk, each of at most `batch_tokens` with padding, in random order."""
    rng = random.Random(f"{seed} {number}")
    samples = sorted((_encode(tokenizer, rng.getrandbits(60)) for _ in range(CHUNK)), key=lambda s: len(s[0]))
    batches, start = [], 0
    while start < len(samples):
        stop = start + 1
        while stop < len(samples) and (stop + 1 - start) * len(samples[stop][0]) <= batch_tokens:
            stop += 1
        batches.append(_pad(samples[start:stop]))
        start = stop
    rng.shuffle(batches)
    return batches


def chunks(tokenizer: Tokenizer, seed: int, first: int, batch_tokens: int) -> Iterator[tuple[int, list[Batch]]]:
    """Chunks from number `first` on, without end."""
    number = first
    while True:
        yield number, chunk(tokenizer, seed, number, batch_tokens)
        number += 1


def _encode(tokenizer: Tokenizer, seed: int) -> tuple[list[int], list[bool]]:
    if seed % COPY_ONE_IN == 0:
        return _copy(tokenizer, random.Random(seed))
    ids: list[int] = []
    learned: list[bool] = []
    for piece in sample(seed):
        piece_ids = tokenizer.encode(piece.text, add_special_tokens=False).ids
        ids += piece_ids
        learned += [piece.learned] * len(piece_ids)
    return ids[:MAX_LENGTH], learned[:MAX_LENGTH]


def _copy(tokenizer: Tokenizer, rng: random.Random) -> tuple[list[int], list[bool]]:
    """Tokens at random, twice: so every token of the vocabulary, even one that words seldom leave over, is copied."""
    special = tokenizer.token_to_id(STOP)
    tokens = rng.choices(range(len(SPECIAL), tokenizer.get_vocab_size() - len(MARKS)), k=rng.randint(4, 48))
    ids = [*tokens, *tokenizer.encode("\n").ids, *tokens, special]
    return ids, [index > len(tokens) for index in range(len(ids))]


def _pad(samples: list[tuple[list[int], list[bool]]]) -> Batch:
    longest = max(len(ids) for ids, _ in samples)
    ids = torch.zeros(len(samples), longest, dtype=torch.long)
    learned = torch.zeros(len(samples), longest, dtype=torch.bool)
    for row, (sample_ids, sample_learned) in enumerate(samples):
        ids[row, : len(sample_ids)] = torch.tensor(sample_ids)
        learned[row, : len(sample_ids)] = torch.tensor(sample_learned)
    return Batch(ids, learned, sum(len(sample_ids) for sample_ids, _ in samples))
