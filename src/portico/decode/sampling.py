"""Drawing tokens from logits, many rows at a time, each as if it were alone.

The order is that of transformers: temperature, top-k, top-p (Holtzman et al. 2019, arXiv:1904.09751), min-p (Nguyen et
al. 2024, arXiv:2407.01082), typical-p (Meister et al. 2022, arXiv:2202.00666); penalties come before. All filters but
the last are thresholds on the probability, and tokens of equal probability are kept or dropped together by each. The
draw inverts the cumulative distribution of what is kept, in the order of the vocabulary, at one uniform number. No step
of a row reads another row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from portico.kernels.dispatch import Kernels
from portico.kernels.sampling import Distribution, invert, wide_dtype
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


def sample(
    logits: Tensor, params: Sequence[TokenParams], uniforms: npt.NDArray[np.float64], kernels: Kernels
) -> Tensor:
    """One token, int64, of each row of logits [rows, vocab], any float dtype, drawn at uniforms [rows] of [0, 1)."""
    scales = torch.tensor([1 / p.temperature for p in params], dtype=torch.float32, device=logits.device)
    at = torch.from_numpy(uniforms).to(logits.device, wide_dtype(logits))
    whole = kernels.draw(logits, scales, at)
    assert whole.tokens is not None
    tokens = whole.tokens
    pending = [i for i in range(len(params)) if _has_filter(params[i])]
    while pending:
        # The number of candidates depends on the row alone: what ties look like must not change with the company.
        width = _width(params[pending[0]], logits.shape[1])
        together = [i for i in pending if _width(params[i], logits.shape[1]) == width]
        pending = [i for i in pending if i not in set(together)]
        rows = _Rows(logits, scales, whole, kernels).take(together)
        tokens[together] = _sample_filtered(rows, [params[i] for i in together], at[together].unsqueeze(1), width)
    return tokens


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of logits whose distributions are known."""

    logits: Tensor
    scales: Tensor
    whole: Distribution
    kernels: Kernels

    def take(self, rows: Sequence[int]) -> _Rows:
        """Some of them, without a copy if it is all."""
        if list(rows) == list(range(len(self.logits))):
            return self
        largest, total = self.whole.largest[rows], self.whole.total[rows]
        return _Rows(self.logits[rows], self.scales[rows], Distribution(largest, total, None), self.kernels)

    def likeliest(self, width: int) -> tuple[Tensor, Tensor]:
        """Probabilities, float32, and ids [rows, width] of the most probable tokens, falling."""
        values, ids = self.kernels.top(self.logits, width)
        shifted = (values - self.whole.largest.unsqueeze(1)) * self.scales.unsqueeze(1)
        return torch.exp(shifted) / self.whole.total.unsqueeze(1).float(), ids


def _sample_filtered(rows: _Rows, params: Sequence[TokenParams], at: Tensor, width: int) -> Tensor:
    """Draw from the `width` most probable tokens, or from all where the filters reach beyond those."""
    vocab = rows.logits.shape[1]
    top, ids = rows.likeliest(width)
    threshold = _threshold(top, params)
    tokens = _draw(_weights(top, threshold, params), ids, at)
    if width == vocab:
        return tokens
    # A threshold that the last candidate still passes may let tokens through that are no candidates.
    unsure = torch.nonzero(threshold[:, 0] <= top[:, -1]).flatten().tolist()
    if unsure:
        tokens[unsure] = _sample_filtered(rows.take(unsure), [params[i] for i in unsure], at[unsure], vocab)
    return tokens


def _threshold(top: Tensor, params: Sequence[TokenParams]) -> Tensor:
    """The least probability [rows, 1] that a row's filters keep, from its most probable tokens in falling order."""
    width = top.shape[1]
    kth = torch.tensor([min(p.top_k or width, width) - 1 for p in params], device=top.device).unsqueeze(1)
    by_top_k = torch.where(_column([p.top_k for p in params], top) > 0, top.gather(1, kth), top.new_zeros(()))
    kept = torch.where(top >= by_top_k, top, top.new_zeros(())).to(wide_dtype(top))
    before = kept.cumsum(dim=-1) - kept
    # Top-p counts in what top-k has left; without top-k that is the whole row, whose probabilities sum to one.
    mass = torch.where(by_top_k > 0, kept.sum(dim=-1, keepdim=True), torch.ones_like(before[:, :1]))
    inside = before < _column([p.top_p for p in params], before) * mass
    last = inside.sum(dim=-1, keepdim=True).sub_(1).clamp_(min=0)
    by_top_p = torch.where(_column([p.top_p for p in params], top) < 1, top.gather(1, last), top.new_zeros(()))
    by_min_p = top[:, :1] * _column([p.min_p for p in params], top)
    return torch.maximum(torch.maximum(by_top_k, by_top_p), by_min_p)


def _weights(top: Tensor, threshold: Tensor, params: Sequence[TokenParams]) -> Tensor:
    """The probabilities of the candidates that a row's filters keep, 0 for the others."""
    weights = torch.where(top >= threshold, top, top.new_zeros(()))
    for i in (i for i, p in enumerate(params) if p.typical_p < 1.0):
        weights[i].masked_fill_(~_typical(weights[i], params[i].typical_p), 0.0)
    return weights


def _typical(weights: Tensor, mass: float) -> Tensor:
    """Which tokens [candidates] have an information nearest to the entropy, as many as sum up to `mass`.

    One row at a time: sums over one row alone and over many at once need not have the same last bits.
    """
    probabilities = weights.to(wide_dtype(weights))
    probabilities = probabilities / probabilities.sum()
    distance: Tensor = (torch.special.entr(probabilities).sum() + probabilities.log()).abs()
    order = distance.argsort(stable=True)
    before = probabilities[order].cumsum(dim=0) < mass
    last = order[before.sum().clamp(max=len(order) - 1)]
    return distance <= distance[last]


def _draw(weights: Tensor, ids: Tensor, at: Tensor) -> Tensor:
    """Invert the distribution over candidates of these weights, put into the order of the vocabulary."""
    ids, order = ids.sort(dim=-1)
    weights = weights.gather(1, order)
    place = invert(weights.cumsum(dim=-1, dtype=wide_dtype(weights)), at)
    return ids.gather(1, place.unsqueeze(1)).squeeze(1)


def _has_filter(params: TokenParams) -> bool:
    return _has_threshold(params) or params.typical_p < 1.0


def _has_threshold(params: TokenParams) -> bool:
    return params.top_k > 0 or params.top_p < 1.0 or params.min_p > 0.0


def _width(params: TokenParams, vocab: int) -> int:
    """Candidates to look at for a row: a power of two above its top_k; all where nothing but typical_p bounds them."""
    if not _has_threshold(params):
        return vocab
    return min(vocab, max(_CANDIDATES, 1 << params.top_k.bit_length()))


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(1)
