"""Penalties on tokens that have been there already."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from portico.protocol.sampling import TokenParams


def has_penalties(params: TokenParams) -> bool:
    """Whether any of the three penalties changes anything."""
    return bool(params.presence_penalty or params.frequency_penalty or params.repetition_penalty != 1.0)


def apply_penalties(logits: Tensor, params: TokenParams, prompt_ids: Sequence[int], output_ids: Sequence[int]) -> None:
    """Change the logits [vocab] of one row in place.

    Repetition first, over prompt and output: a seen token's logit is divided by the penalty where positive, multiplied
    where negative (Keskar et al. 2019, arXiv:1909.05858). Then, over the output alone, frequency times the token's
    count and presence once, subtracted, as in OpenAI's API.
    """
    if params.repetition_penalty != 1.0:
        seen = _to(logits, np.unique(np.concatenate((_array(prompt_ids), _array(output_ids)))))
        scores = logits[seen]
        penalty = params.repetition_penalty
        logits[seen] = torch.where(scores > 0, scores / penalty, scores * penalty)
    if params.presence_penalty or params.frequency_penalty:
        ids, counts = np.unique(_array(output_ids), return_counts=True)
        penalties = params.presence_penalty + params.frequency_penalty * counts
        logits[_to(logits, ids)] -= _to(logits, penalties.astype(np.float32))


def _array(ids: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.asarray(ids, dtype=np.int64)


def _to(like: Tensor, values: np.ndarray[tuple[int], np.dtype[np.generic]]) -> Tensor:
    return torch.from_numpy(values).to(like.device)
