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
    scales = _scales(params, logits.device)
    at = torch.from_numpy(uniforms).to(logits.device, wide_dtype(logits))
    tokens, floors = kernels.draw(logits, scales, at, _filters(params, logits.device))
    for row, wishes in enumerate(params):
        if wishes.typical_p < 1.0:
            left = _cut(logits[row].float(), scales[row], floors[row], wishes)
            weights = torch.softmax(left.to(wide_dtype(logits)), dim=0)
            tokens[row] = invert(weights.cumsum(dim=0).unsqueeze(0), at[row].view(1, 1))[0]
    return tokens


def processed(logits: Tensor, params: Sequence[TokenParams], kernels: Kernels) -> Tensor:
    """What `sample` draws from, as logits, float32 [rows, vocab]; those of greedy rows as they are."""
    found = kernels.widen(logits)
    warm = [row for row, wishes in enumerate(params) if not is_greedy(wishes)]
    if warm:
        chosen = [params[row] for row in warm]
        scales = _scales(chosen, logits.device)
        anywhere = torch.zeros(len(warm), dtype=wide_dtype(logits), device=logits.device)
        _, floors = kernels.draw(logits[warm], scales, anywhere, _filters(chosen, logits.device))
        for i, row in enumerate(warm):
            found[row] = _cut(found[row], scales[i], floors[i], chosen[i])
    return found


def _scales(params: Sequence[TokenParams], device: torch.device) -> Tensor:
    return torch.tensor([1 / p.temperature for p in params], dtype=torch.float32, device=device)


def _filters(params: Sequence[TokenParams], device: torch.device) -> Filters:
    return Filters(
        top_k=torch.tensor([p.top_k for p in params], dtype=torch.int64, device=device),
        top_p=torch.tensor([p.top_p for p in params], dtype=torch.float32, device=device),
        min_p=torch.tensor([p.min_p for p in params], dtype=torch.float32, device=device),
    )


def _cut(logits: Tensor, scale: Tensor, floor: Tensor, params: TokenParams) -> Tensor:
    """The scaled logits of one row [vocab], -inf for what its filters drop, typical-p among them."""
    left = torch.where(logits >= floor, logits * scale, -torch.inf)
    if params.typical_p < 1.0:
        kept = torch.nonzero(left > -torch.inf).flatten()
        typical = _typical(torch.softmax(left[kept].to(wide_dtype(left)), dim=0), params.typical_p)
        left[kept[~typical]] = -torch.inf
    return left


def _typical(probabilities: Tensor, mass: float) -> Tensor:
    """Which tokens have an information nearest to the entropy, as many as sum up to `mass`."""
    distance: Tensor = (torch.special.entr(probabilities).sum() + probabilities.log()).abs()
    order = distance.argsort(stable=True)
    before = probabilities[order].cumsum(dim=0) < mass
    last = order[before.sum().clamp(max=len(order) - 1)]
    return distance <= distance[last]
