"""Drawing tokens from logits, many rows at a time, each as if it were alone.

The order is that of transformers: temperature, top-k, top-p (Holtzman et al. 2019, arXiv:1904.09751), min-p (Nguyen et
al. 2024, arXiv:2407.01082); penalties come before. Every filter is a threshold on the probability, so tokens of equal
probability are kept or dropped together. The draw inverts the cumulative distribution of what is kept, in the order of
the vocabulary, at one uniform number. No step of a row reads another row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from portico.protocol.sampling import TokenParams

_GREEDY_BELOW = 1e-5
"""Temperatures under this are greedy: logits divided by them would overflow."""

_CANDIDATES = 256
"""Most probable tokens looked at first; rows whose filters keep more are sorted as a whole."""


def is_greedy(params: TokenParams) -> bool:
    """Whether the row takes its most probable token."""
    return params.temperature < _GREEDY_BELOW


def greedy(logits: Tensor) -> Tensor:
    """The most probable token of each row [rows, vocab], the first of equals."""
    return logits.max(dim=-1).indices  # argmax is slower in bfloat16


def sample(logits: Tensor, params: Sequence[TokenParams], uniforms: npt.NDArray[np.float64]) -> Tensor:
    """One token of each row of logits, float32 [rows, vocab], drawn at uniforms [rows] of [0, 1): int64 [rows]."""
    temperatures = _column([p.temperature for p in params], logits)
    probabilities = torch.softmax(logits / temperatures, dim=-1)
    tokens = torch.empty(len(params), dtype=torch.int64, device=logits.device)
    at = torch.from_numpy(uniforms).to(logits.device, _wide(logits)).unsqueeze(1)
    rows = list(range(len(params)))
    everything = [i for i in rows if not _has_filter(params[i])]
    if everything:
        tokens[everything] = _invert(probabilities[everything], at[everything])
    pending = [i for i in rows if _has_filter(params[i])]
    while pending:
        # The number of candidates depends on the row alone: what ties look like must not change with the company.
        width = _width(params[pending[0]], logits.shape[1])
        together = [i for i in pending if _width(params[i], logits.shape[1]) == width]
        pending = [i for i in pending if i not in set(together)]
        tokens[together] = _sample_filtered(probabilities[together], [params[i] for i in together], at[together], width)
    return tokens


def _sample_filtered(probabilities: Tensor, params: Sequence[TokenParams], at: Tensor, width: int) -> Tensor:
    """Draw from the `width` most probable tokens, or from all where the filters reach beyond those."""
    vocab = probabilities.shape[1]
    top, ids = torch.topk(probabilities, width, dim=-1)
    threshold = _threshold(top, params)
    tokens = _draw(top, ids, threshold, at)
    if width == vocab:
        return tokens
    # A threshold that the last candidate still passes may let tokens through that are no candidates.
    unsure = torch.nonzero(threshold[:, 0] <= top[:, -1]).flatten().tolist()
    if unsure:
        tokens[unsure] = _sample_filtered(probabilities[unsure], [params[i] for i in unsure], at[unsure], vocab)
    return tokens


def _threshold(top: Tensor, params: Sequence[TokenParams]) -> Tensor:
    """The least probability [rows, 1] that a row's filters keep, from its most probable tokens in falling order."""
    width = top.shape[1]
    kth = torch.tensor([min(p.top_k or width, width) - 1 for p in params], device=top.device).unsqueeze(1)
    by_top_k = torch.where(_column([p.top_k for p in params], top) > 0, top.gather(1, kth), top.new_zeros(()))
    kept = torch.where(top >= by_top_k, top, top.new_zeros(())).to(_wide(top))
    before = kept.cumsum(dim=-1) - kept
    # Top-p counts in what top-k has left; without top-k that is the whole row, whose probabilities sum to one.
    mass = torch.where(by_top_k > 0, kept.sum(dim=-1, keepdim=True), torch.ones_like(before[:, :1]))
    inside = before < _column([p.top_p for p in params], before) * mass
    last = inside.sum(dim=-1, keepdim=True).sub_(1).clamp_(min=0)
    by_top_p = torch.where(_column([p.top_p for p in params], top) < 1, top.gather(1, last), top.new_zeros(()))
    by_min_p = top[:, :1] * _column([p.min_p for p in params], top)
    return torch.maximum(torch.maximum(by_top_k, by_top_p), by_min_p)


def _draw(top: Tensor, ids: Tensor, threshold: Tensor, at: Tensor) -> Tensor:
    """Invert the distribution over candidates of at least `threshold`, put into the order of the vocabulary."""
    ids, order = ids.sort(dim=-1)
    top = top.gather(1, order)
    place = _invert(torch.where(top >= threshold, top, top.new_zeros(())), at)
    return ids.gather(1, place.unsqueeze(1)).squeeze(1)


def _invert(weights: Tensor, at: Tensor) -> Tensor:
    """The first place of each row whose cumulated weight exceeds at [rows, 1] of the row's total."""
    cumulated = weights.cumsum(dim=-1, dtype=_wide(weights))
    target = at * cumulated[:, -1:]
    # Rounding may lift the target to the total itself; the last place with weight is meant then.
    last = torch.searchsorted(cumulated, cumulated[:, -1:].contiguous())
    place = torch.minimum(torch.searchsorted(cumulated, target, right=True), last)
    return place.clamp_(max=weights.shape[1] - 1).squeeze(1)


def _has_filter(params: TokenParams) -> bool:
    return params.top_k > 0 or params.top_p < 1.0 or params.min_p > 0.0


def _width(params: TokenParams, vocab: int) -> int:
    """Candidates to look at for a row: a power of two above its top_k."""
    return min(vocab, max(_CANDIDATES, 1 << params.top_k.bit_length()))


def _wide(like: Tensor) -> torch.dtype:
    """The dtype of cumulated sums; MPS has no float64."""
    return torch.float32 if like.device.type == "mps" else torch.float64


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(1)
