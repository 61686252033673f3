"""Penalties on tokens that have been there already."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from portico.kernels.sampling import Penalties
from portico.protocol.sampling import TokenParams


def has_penalties(params: TokenParams) -> bool:
    """Whether any of the three penalties changes anything."""
    return bool(params.presence_penalty or params.frequency_penalty or params.repetition_penalty != 1.0)


def penalties(rows: Sequence[tuple[TokenParams, Sequence[int], Sequence[int]]], device: torch.device) -> Penalties:
    """What the kernel wants to know of rows, each given by its parameters, its prompt and its output.

    Token ids that are in an `array` already are not converted one by one.
    """
    parts: list[np.ndarray] = []
    for params, prompt_ids, output_ids in rows:
        wanted = has_penalties(params)
        parts.append(np.asarray(prompt_ids if wanted and params.repetition_penalty != 1.0 else (), dtype=np.int64))
        parts.append(np.asarray(output_ids if wanted else (), dtype=np.int64))
    ends = np.cumsum([0, *map(len, parts)])

    def column(values: list[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device)

    return Penalties(
        tokens=torch.from_numpy(np.concatenate(parts)).to(device),
        begins=torch.from_numpy(ends[::2].copy()).to(device),
        outputs=torch.from_numpy(ends[1::2].copy()).to(device),
        repetition=column([params.repetition_penalty for params, _, _ in rows]),
        presence=column([params.presence_penalty for params, _, _ in rows]),
        frequency=column([params.frequency_penalty for params, _, _ in rows]),
    )
