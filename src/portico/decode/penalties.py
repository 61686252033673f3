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
    output = np.asarray(output_ids, dtype=np.int64)
    prompt = np.asarray(prompt_ids if params.repetition_penalty != 1.0 else (), dtype=np.int64)
    seen, places = np.unique(np.concatenate((output, prompt)), return_inverse=True)
    at = torch.from_numpy(seen).to(logits.device)
    scores = logits[at].cpu().numpy()
    if params.repetition_penalty != 1.0:
        penalty = np.float32(params.repetition_penalty)
        scores = np.where(scores > 0, scores / penalty, scores * penalty)
    if params.presence_penalty or params.frequency_penalty:
        counts = np.bincount(places[: len(output)], minlength=len(seen)).astype(np.float32)
        presence, frequency = np.float32(params.presence_penalty), np.float32(params.frequency_penalty)
        scores = scores - np.where(counts > 0, presence + frequency * counts, np.float32(0))
    logits[at] = torch.from_numpy(scores).to(logits.device)
