"""What changes a row's logits before its token is drawn: what may not come, biases, penalties."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from portico.errors import EngineError
from portico.kernels.sampling import Changes
from portico.protocol.sampling import ThinkingLimit, TokenParams


@dataclass(frozen=True, slots=True)
class Wish:
    """What the changes of one row depend on."""

    params: TokenParams
    prompt_ids: Sequence[int]
    output_ids: Sequence[int]
    mask: Tensor | None = None
    """int32 [vocab / 32]: bits of the tokens that the row's grammar lets through."""


def changes(rows: Sequence[Wish], vocab: int, device: torch.device) -> Changes | None:
    """What is done to the logits of a step's rows, or None if that is nothing.

    Only what is allowed, what must come and what the grammar lets through is left, less what is banned; biases and
    penalties come after, as in vLLM. Token ids that are in an `array` already are not converted one by one.
    """
    bits = [_bits(row, vocab) for row in rows]
    penalized = [_has_penalties(row.params) for row in rows]
    if not any(penalized) and all(
        found is None and not row.params.logit_bias for found, row in zip(bits, rows, strict=True)
    ):
        return None
    masks = [found for found in bits if found is not None]
    numbers = np.cumsum([found is not None for found in bits]) - 1
    biased = [row.params.logit_bias or () for row in rows]
    seen: list[np.ndarray] = []
    for row, wanted in zip(rows, penalized, strict=True):
        repeats = wanted and row.params.repetition_penalty != 1.0
        seen.append(np.asarray(row.prompt_ids if repeats else (), dtype=np.int64))
        seen.append(np.asarray(row.output_ids if wanted else (), dtype=np.int64))
    ends = np.cumsum([0, *map(len, seen)])

    def tensor(values: ArrayLike, dtype: type[np.generic]) -> Tensor:
        return torch.from_numpy(np.array(values, dtype=dtype)).to(device)

    return Changes(
        bits=torch.from_numpy(np.stack(masks) if masks else np.zeros((0, -(-vocab // 32)), np.int32)).to(device),
        bits_of=tensor(
            [-1 if found is None else number for found, number in zip(bits, numbers, strict=True)], np.int64
        ),
        biased=tensor([token for pairs in biased for token, _ in pairs], np.int64),
        biases=tensor([bias for pairs in biased for _, bias in pairs], np.float32),
        biased_begins=tensor(np.cumsum([0, *map(len, biased)]), np.int64),
        tokens=tensor(np.concatenate(seen), np.int64),
        begins=tensor(ends[::2], np.int64),
        outputs=tensor(ends[1::2], np.int64),
        repetition=tensor([row.params.repetition_penalty for row in rows], np.float32),
        presence=tensor([row.params.presence_penalty for row in rows], np.float32),
        frequency=tensor([row.params.frequency_penalty for row in rows], np.float32),
    )


def _has_penalties(params: TokenParams) -> bool:
    return bool(params.presence_penalty or params.frequency_penalty or params.repetition_penalty != 1.0)


def _bits(row: Wish, vocab: int) -> npt.NDArray[np.int32] | None:
    """Bits of the tokens that may come, [vocab / 32]; None if all may."""
    params = row.params
    left = None if row.mask is None else row.mask.numpy()
    forced = None if params.thinking is None else forced_end(params.thinking, row.output_ids)
    for only in (params.allowed_token_ids, None if forced is None else (forced,)):
        if only:
            left = _bits_of(only, vocab) if left is None else left & _bits_of(only, vocab)
    banned = list(_banned(params, row.output_ids))
    if banned:
        kept = ~_bits_of(banned, vocab)
        left = kept if left is None else left & kept
    return left


def _bits_of(tokens: Sequence[int], vocab: int) -> npt.NDArray[np.int32]:
    bits = np.zeros(-(-vocab // 32), dtype=np.uint32)
    ids = np.asarray(tokens)
    np.bitwise_or.at(bits, ids // 32, np.uint32(1) << (ids % 32).astype(np.uint32))
    return bits.view(np.int32)


def forced_end(limit: ThinkingLimit, output_ids: Sequence[int]) -> int | None:
    """The token that must follow these because the thinking has used up its budget, if one must."""
    place = _thinking_end(limit, len(output_ids))
    if place is None:
        return None
    thought = output_ids[: len(output_ids) - place]
    begun = not limit.begin or _holds(thought, limit.begin)
    return limit.end[place] if begun and not _holds(thought, limit.end) else None


def _thinking_end(limit: ThinkingLimit, position: int) -> int | None:
    """Which token of the end's marker would stand at `position`, were thinking to go on for its whole budget."""
    place = position - len(limit.begin) - limit.budget
    return place if 0 <= place < len(limit.end) else None


def _holds(tokens: Sequence[int], part: tuple[int, ...]) -> bool:
    if len(part) == 1:
        return part[0] in tokens
    return any(tuple(tokens[place : place + len(part)]) == part for place in range(len(tokens) - len(part) + 1))


def check_left(chosen: float, draw_position: int) -> None:
    """Raise EngineError if the logit of the token that was chosen says that none was left to choose."""
    if chosen == -math.inf:
        raise EngineError(
            f"No token is left for output position {draw_position}: allowed_token_ids, bad_words, min_tokens and "
            "what the answer must look like exclude all."
        )


def _banned(params: TokenParams, output_ids: Sequence[int]) -> Iterator[int]:
    if len(output_ids) < params.min_tokens:
        yield from params.stop_token_ids
    for *before, last in params.bad_words:
        if not before or list(output_ids[-len(before) :]) == before:
            yield last
