"""From the hidden states of a prompt to the vector that stands for it."""

from __future__ import annotations

import torch
from torch import Tensor

from portico.engine.plan import Row
from portico.protocol.sampling import Pooling


def pool(row: Row, hidden: Tensor) -> list[float]:
    """The vector of a row's prompt, or its part as far as it is read, from hidden states [pooled places, hidden]."""
    assert row.pool is not None
    wish = row.pool
    complete = row.start + len(row.token_ids) == wish.tokens
    if wish.pooling.kind == "mean":
        total = hidden.double().sum(dim=0).cpu()
        if row.start > 0:
            total += torch.tensor(wish.so_far, dtype=torch.float64)
        return _finished(total / wish.tokens, wish.pooling) if complete else total.tolist()
    vector = hidden[0].double().cpu() if len(hidden) else torch.tensor(wish.so_far, dtype=torch.float64)
    return _finished(vector, wish.pooling) if complete else vector.tolist()


def pooled_places(row: Row) -> range:
    """The tokens of a row whose hidden states its prompt's vector is made of."""
    length = len(row.token_ids)
    if row.pool is None:
        return range(0)
    match row.pool.pooling.kind:
        case "mean":
            return range(length)
        case "first":
            return range(1 if row.start == 0 else 0)
        case "last":
            return range(length - 1, length) if row.start + length == row.pool.tokens else range(0)


def _finished(vector: Tensor, pooling: Pooling) -> list[float]:
    vector = vector[: pooling.dimensions]
    if pooling.normalize:
        vector = vector / vector.norm().clamp_min(1e-12)
    return vector.float().tolist()
