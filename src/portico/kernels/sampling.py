"""What drawing a token needs to know of logits, in plain torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Distribution:
    """softmax(logits * scale) of each row, unnormalised."""

    largest: Tensor
    """float32 [rows]: the largest logit."""
    total: Tensor
    """[rows], as wide as the device has: the sum of exp((logit - largest) * scale)."""
    tokens: Tensor | None
    """int64 [rows]: the first token at which the cumulated share exceeds the row's uniform number."""


def draw_torch(logits: Tensor, scales: Tensor, uniforms: Tensor | None) -> Distribution:
    """The distributions of logits [rows, vocab], any float dtype, and draws from them; scales are float32 [rows]."""
    wide = logits.float()
    largest = wide.max(dim=-1).values
    weights = torch.exp((wide - largest.unsqueeze(1)) * scales.unsqueeze(1))
    cumulated = weights.cumsum(dim=-1, dtype=wide_dtype(logits))
    tokens = None if uniforms is None else invert(cumulated, uniforms.unsqueeze(1))
    return Distribution(largest, cumulated[:, -1], tokens)


def top_torch(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Values (float32) and ids (int64) [rows, count] of the largest logits, falling; of equals the first is first."""
    rows = [_largest(row, count) for row in logits]
    ids = torch.stack(rows) if rows else logits.new_empty(0, count, dtype=torch.int64)
    return logits.gather(1, ids).float(), ids


def _largest(logits: Tensor, count: int) -> Tensor:
    """topk orders equals as it likes, so take all that are as large as its last, and sort those stably."""
    if count == 0:
        return logits.new_empty(0, dtype=torch.int64)
    candidates = torch.nonzero(logits >= logits.topk(count).values[-1]).flatten()
    order = torch.sort(logits[candidates], descending=True, stable=True).indices
    return candidates[order[:count]]


def invert(cumulated: Tensor, at: Tensor) -> Tensor:
    """The first place of each row whose cumulated weight exceeds at [rows, 1] of the row's total."""
    target = at * cumulated[:, -1:]
    # Rounding may lift the target to the total itself; the last place with weight is meant then.
    last = torch.searchsorted(cumulated, cumulated[:, -1:].contiguous())
    place = torch.minimum(torch.searchsorted(cumulated, target, right=True), last)
    return place.clamp_(max=cumulated.shape[1] - 1).squeeze(1)


def wide_dtype(like: Tensor) -> torch.dtype:
    """The dtype of cumulated sums; MPS has no float64."""
    return torch.float32 if like.device.type == "mps" else torch.float64
