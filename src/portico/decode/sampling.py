"""Drawing tokens from logits, many rows at a time, each as if it were alone.

The order is that of transformers: temperature, top-k, top-p (Holtzman et al. 2019, arXiv:1904.09751), min-p (Nguyen
et al. 2024, arXiv:2407.01082), typical-p (Meister et al. 2022, arXiv:2202.00666); penalties come before. Of tokens that
are equally likely all are kept or none. The draw inverts the cumulative distribution of what is kept, in the order of
the vocabulary, at one uniform number. No step of a row reads another row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from portico.kernels.dispatch import Kernels
from portico.kernels.sampling import Filters, invert, wide_dtype
from portico.protocol.sampling import TokenParams

_GREEDY_BELOW = 1e-5
"""Temperatures under this are greedy: logits divided by them would overflow."""


def is_greedy(params: TokenParams) -> bool:
    """Whether the row takes its most probable token."""
    return params.temperature < _GREEDY_BELOW


def greedy(logits: Tensor, kernels: Kernels) -> Tensor:
    """The most probable token of each row [rows, vocab], the first of equals."""
    return kernels.top(logits, 1)[1].squeeze(1)


def sample(
    logits: Tensor, params: Sequence[TokenParams], uniforms: npt.NDArray[np.float64], kernels: Kernels
) -> Tensor:
    """One token, int64, of each row of logits [rows, vocab], any float dtype, drawn at uniforms [rows] of [0, 1)."""
    device = logits.device
    scales = torch.tensor([1 / p.temperature for p in params], dtype=torch.float32, device=device)
    at = torch.from_numpy(uniforms).to(device, wide_dtype(logits))
    filters = Filters(
        top_k=torch.tensor([p.top_k for p in params], dtype=torch.int64, device=device),
        top_p=torch.tensor([p.top_p for p in params], dtype=torch.float32, device=device),
        min_p=torch.tensor([p.min_p for p in params], dtype=torch.float32, device=device),
    )
    tokens, floors = kernels.draw(logits, scales, at, filters)
    for row, wishes in enumerate(params):
        if wishes.typical_p < 1.0:
            tokens[row] = _draw_typical(logits[row].float() * scales[row], floors[row] * scales[row], wishes, at[row])
    return tokens


def _draw_typical(logits: Tensor, floor: Tensor, params: TokenParams, at: Tensor) -> Tensor:
    """Draw from the tokens of one row [vocab] whose information is nearest to the entropy of what its filters left."""
    left = torch.nonzero(logits >= floor).flatten()
    weights = torch.softmax(logits[left].to(wide_dtype(logits)), dim=0)
    weights = torch.where(_typical(weights, params.typical_p), weights, weights.new_zeros(()))
    return left[invert(weights.cumsum(dim=0).unsqueeze(0), at.view(1, 1))[0]]


def _typical(probabilities: Tensor, mass: float) -> Tensor:
    """Which tokens have an information nearest to the entropy, as many as sum up to `mass`."""
    distance: Tensor = (torch.special.entr(probabilities).sum() + probabilities.log()).abs()
    order = distance.argsort(stable=True)
    before = probabilities[order].cumsum(dim=0) < mass
    last = order[before.sum().clamp(max=len(order) - 1)]
    return distance <= distance[last]
