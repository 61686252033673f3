"""From logits to tokens and what there is to say of them, in plain torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Filters:
    """Which tokens of each row may be drawn; a token that is as likely as one that may be drawn may be drawn too."""

    top_k: Tensor
    """int64 [rows]: so many of the likeliest; 0: all."""
    top_p: Tensor
    """float32 [rows]: those of them that sum up to this share; 1: all."""
    min_p: Tensor
    """float32 [rows]: those at least this share of the likeliest; 0: all."""


@dataclass(frozen=True, slots=True)
class Penalties:
    """What has been there in each row, and by how much that lowers logits."""

    tokens: Tensor
    """int64: row after row, the tokens of the prompt, then of the output."""
    begins: Tensor
    """int64 [rows + 1]: where each row's tokens begin, and the end of the last."""
    outputs: Tensor
    """int64 [rows]: where the tokens of its output begin."""
    repetition: Tensor
    """float32 [rows]; 1: none."""
    presence: Tensor
    """float32 [rows]"""
    frequency: Tensor
    """float32 [rows]"""


def draw_torch(logits: Tensor, scales: Tensor, uniforms: Tensor, filters: Filters) -> tuple[Tensor, Tensor]:
    """The first token, int64 [rows], at which the cumulated share of softmax(logits * scale) exceeds a uniform number.

    logits are [rows, vocab] of any float dtype, scales float32 [rows], uniforms [rows] as wide as the device has. The
    second result is the least logit that may be drawn, float32 [rows].
    """
    wide = logits.float()
    weights = torch.exp((wide - wide.max(dim=-1, keepdim=True).values) * scales.unsqueeze(1))
    floors = _floors(wide, weights, scales, filters)
    weights = torch.where(wide >= floors.unsqueeze(1), weights, weights.new_zeros(()))
    return invert(weights.cumsum(dim=-1, dtype=wide_dtype(logits)), uniforms.unsqueeze(1)), floors


def _floors(logits: Tensor, weights: Tensor, scales: Tensor, filters: Filters) -> Tensor:
    """The least logit of each row that passes its filters."""
    vocab = logits.shape[1]
    values, order = logits.sort(dim=-1, descending=True)
    falling = weights.gather(1, order).to(wide_dtype(weights))
    last = torch.where(filters.top_k > 0, filters.top_k.clamp(max=vocab), vocab).unsqueeze(1) - 1
    by_top_k = values.gather(1, last)
    falling = torch.where(values >= by_top_k, falling, falling.new_zeros(()))
    before = falling.cumsum(dim=-1) - falling
    inside = before < filters.top_p.unsqueeze(1) * falling.sum(dim=-1, keepdim=True)
    by_top_p = values.gather(1, inside.sum(dim=-1, keepdim=True).sub_(1).clamp_(min=0))
    by_top_p = torch.where(filters.top_p.unsqueeze(1) < 1, by_top_p, by_top_k)
    by_min_p = values[:, 0] + filters.min_p.log() / scales
    return torch.maximum(torch.maximum(by_top_k, by_top_p).squeeze(1), by_min_p)


def describe_torch(logits: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Of logits [rows, vocab] the logarithm of the sum of exponentials, float32 [rows], and the tokens' ranks [rows].

    A token's rank is how many logits are at least its own.
    """
    own = logits.gather(1, tokens.unsqueeze(1))
    return torch.logsumexp(logits.to(wide_dtype(logits)), dim=-1).float(), (logits >= own).sum(dim=-1)


def widen_torch(logits: Tensor) -> Tensor:
    """A copy of logits [rows, vocab] in float32."""
    return logits.to(torch.float32, copy=True)


def mask_torch(logits: Tensor, bits: Tensor) -> None:
    """Set float32 logits [rows, vocab] to -inf where the bit of int32 [rows, vocab / 32], lowest first, is not set."""
    places = torch.arange(32, dtype=torch.int32, device=bits.device)
    kept = (bits.unsqueeze(2) >> places & 1).view(len(bits), -1)[:, : logits.shape[1]]
    logits.masked_fill_(kept == 0, -torch.inf)


def penalize_torch(logits: Tensor, penalties: Penalties) -> None:
    """Change float32 logits [rows, vocab] in place.

    Repetition first, over prompt and output: a seen token's logit is divided by the penalty where positive, multiplied
    where negative (Keskar et al. 2019, arXiv:1909.05858). Then, over the output alone, frequency times the token's
    count and presence once, subtracted, as in OpenAI's API.
    """
    p = penalties
    bounds = zip(p.begins.tolist(), p.outputs.tolist(), p.begins[1:].tolist(), strict=False)
    for row, (begin, output, end) in enumerate(bounds):
        seen = torch.unique(p.tokens[begin:end])
        scores = logits[row, seen]
        logits[row, seen] = torch.where(scores > 0, scores / p.repetition[row], scores * p.repetition[row])
        said, counts = torch.unique(p.tokens[output:end], return_counts=True)
        logits[row, said] -= p.presence[row] + p.frequency[row] * counts


def top_torch(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Values (float32) and ids (int64) [rows, count] of the largest logits, falling; of equals the first is first."""
    if count == 1:
        values, ids = logits.max(dim=-1, keepdim=True)
        return values.float(), ids
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
