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
from portico.kernels.sampling import Changes, Filters, invert, wide_dtype
from portico.protocol.sampling import TokenParams

_GREEDY_BELOW = 1e-5
"""Temperatures under this are greedy: logits divided by them would overflow."""
_LEAST_SHARE = 1e-30
"""Of top_p: what is less may be 0 in float32, and 0 leaves no token."""


def is_greedy(params: TokenParams) -> bool:
    """Whether the row takes its most probable token."""
    return params.temperature < _GREEDY_BELOW


def greedy(logits: Tensor, kernels: Kernels) -> Tensor:
    """The most probable token of each row [rows, vocab], the first of equals."""
    return kernels.top(logits, 1)[1].squeeze(1)


def sample(
    logits: Tensor,
    params: Sequence[TokenParams],
    uniforms: npt.NDArray[np.float64],
    kernels: Kernels,
    changes: Changes | None = None,
) -> tuple[Tensor, Tensor]:
    """A token of each row of logits [rows, vocab], any float dtype, int64 [rows], drawn at uniforms [rows] of [0, 1).

    The second result is the tokens' changed logits, float32 [rows]: -inf where none was left to draw.
    """
    scales = _scales(params, logits.device)
    first = np.array([is_greedy(wishes) for wishes in params])  # of equals, that is, at 0
    at = torch.from_numpy(np.where(first, 0.0, uniforms)).to(logits.device, wide_dtype(logits))
    drawn = kernels.draw(logits, scales, at, _filters(params, logits.device), changes)
    typical = [row for row, wishes in enumerate(params) if wishes.typical_p < 1.0 and not is_greedy(wishes)]
    if typical:
        wide = changed(logits, changes, kernels)
        for row in typical:
            left = _cut(wide[row], scales[row], drawn.floors[row], params[row])
            weights = torch.softmax(left.to(wide_dtype(logits)), dim=0)
            drawn.tokens[row] = invert(weights.cumsum(dim=0).unsqueeze(0), at[row].view(1, 1))[0]
    return drawn.tokens, drawn.logits


def changed(logits: Tensor, changes: Changes | None, kernels: Kernels) -> Tensor:
    """Logits [rows, vocab] in float32, with their changes."""
    return logits.float() if changes is None else kernels.change(logits, changes)


def processed(logits: Tensor, params: Sequence[TokenParams], kernels: Kernels, changes: Changes | None) -> Tensor:
    """What `sample` draws from, as logits, float32 [rows, vocab]; greedy rows are not cut to their one token."""
    scales = _scales(params, logits.device)
    anywhere = torch.zeros(len(params), dtype=wide_dtype(logits), device=logits.device)
    floors = kernels.draw(logits, scales, anywhere, _filters(params, logits.device), changes).floors
    found = changed(logits, changes, kernels)
    for row, wishes in enumerate(params):
        if not is_greedy(wishes):
            found[row] = _cut(found[row], scales[row], floors[row], wishes)
    return found


def _scales(params: Sequence[TokenParams], device: torch.device) -> Tensor:
    return torch.tensor(
        [1.0 if is_greedy(p) else 1 / p.temperature for p in params], dtype=torch.float32, device=device
    )


def _filters(params: Sequence[TokenParams], device: torch.device) -> Filters:
    """Of a greedy row the likeliest is left, and what equals it."""
    kept = [(p, is_greedy(p)) for p in params]
    return Filters(
        top_k=torch.tensor([1 if one else p.top_k for p, one in kept], dtype=torch.int64, device=device),
        top_p=torch.tensor([1.0 if one else max(p.top_p, _LEAST_SHARE) for p, one in kept], dtype=torch.float32).to(
            device
        ),
        min_p=torch.tensor([0.0 if one else p.min_p for p, one in kept], dtype=torch.float32, device=device),
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
