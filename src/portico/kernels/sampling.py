"""From logits to tokens and what there is to say of them, in plain torch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

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
class Changes:
    """What is done to the logits of each row before its token is drawn: first bits, then biases, then penalties.

    Repetition comes first of the penalties, over prompt and output: a seen token's logit is divided by it where
    positive, multiplied where negative (Keskar et al. 2019, arXiv:1909.05858). Then, over the output alone, frequency
    times the token's count and presence once, subtracted, as in OpenAI's API.
    """

    bits: Tensor
    """int32 [masks, vocab / 32], the first token's bit lowest: tokens without one become -inf."""
    bits_of: Tensor
    """int64 [rows]: which of the masks; -1: none."""
    biased: Tensor
    """int64: tokens to which something is added, row after row."""
    biases: Tensor
    """float32: what is added to them."""
    biased_begins: Tensor
    """int64 [rows + 1]: where those of each row begin, and the end of the last."""
    tokens: Tensor
    """int64: those that have been there, row after row, the prompt's before the output's; none: no penalties."""
    begins: Tensor
    """int64 [rows + 1]: where those of each row begin, and the end of the last."""
    outputs: Tensor
    """int64 [rows]: where those of its output begin."""
    repetition: Tensor
    """float32 [rows]; 1: none."""
    presence: Tensor
    """float32 [rows]"""
    frequency: Tensor
    """float32 [rows]"""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What came of drawing one token of each row."""

    tokens: Tensor
    """int64 [rows]"""
    floors: Tensor
    """float32 [rows]: the least logit that could be drawn."""
    logits: Tensor
    """float32 [rows]: of the tokens, changed; -inf where there was none to draw."""


@dataclass(frozen=True, slots=True)
class Description:
    """What there is to say of one token of each row."""

    totals: Tensor
    """float32 [rows]: the logarithm of the sum of the logits' exponentials."""
    ranks: Tensor
    """int64 [rows]: how many logits are at least the token's."""
    values: Tensor
    """float32 [rows, count]: the largest logits, falling."""
    ids: Tensor
    """int64 [rows, count]: their tokens; of equals the first is first."""


def draw_torch(
    logits: Tensor, scales: Tensor, uniforms: Tensor, filters: Filters, changes: Changes | None = None
) -> Drawn:
    """The first token at which the cumulated share of softmax(changed logits * scale) exceeds a uniform number.

    logits are [rows, vocab] of any float dtype, scales float32 [rows], uniforms [rows] as wide as the device has.
    """
    wide = logits.float() if changes is None else change_torch(logits, changes)
    weights = torch.exp((wide - wide.max(dim=-1, keepdim=True).values) * scales.unsqueeze(1))
    floors = _floors(wide, weights, scales, filters)
    weights = torch.where(wide >= floors.unsqueeze(1), weights, weights.new_zeros(()))
    tokens = invert(weights.cumsum(dim=-1, dtype=wide_dtype(logits)), uniforms.unsqueeze(1))
    return Drawn(tokens, floors, wide.gather(1, tokens.unsqueeze(1)).squeeze(1))


def change_torch(logits: Tensor, changes: Changes) -> Tensor:
    """A copy of logits [rows, vocab] in float32, changed."""
    c, wide = changes, logits.to(torch.float32, copy=True)
    masked = torch.nonzero(c.bits_of >= 0).flatten()
    places = torch.arange(32, dtype=torch.int32, device=logits.device)
    kept = (c.bits[c.bits_of[masked]].unsqueeze(2) >> places & 1).flatten(1)[:, : logits.shape[1]]
    wide[masked] = wide[masked].masked_fill_(kept == 0, -torch.inf)
    for row, (begin, end) in enumerate(pairwise(c.biased_begins.tolist())):
        wide[row].index_add_(0, c.biased[begin:end], c.biases[begin:end])
    for row, ((begin, end), output) in enumerate(zip(pairwise(c.begins.tolist()), c.outputs.tolist(), strict=True)):
        seen = torch.unique(c.tokens[begin:end])
        scores = wide[row, seen]
        wide[row, seen] = torch.where(scores > 0, scores / c.repetition[row], scores * c.repetition[row])
        said, counts = torch.unique(c.tokens[output:end], return_counts=True)
        wide[row, said] -= c.presence[row] + c.frequency[row] * counts
    return wide


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


def describe_torch(logits: Tensor, tokens: Tensor, count: int) -> Description:
    """What there is to say of one token of each row of logits [rows, vocab], and of the `count` largest logits."""
    own = logits.gather(1, tokens.unsqueeze(1))
    totals = torch.logsumexp(logits.to(wide_dtype(logits)), dim=-1).float()
    return Description(totals, (logits >= own).sum(dim=-1), *top_torch(logits, count))


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
