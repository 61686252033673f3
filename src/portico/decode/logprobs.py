"""Log-probabilities of tokens in the distribution that logits stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from portico.kernels.dispatch import Kernels
from portico.protocol.messages import TokenLogprobs


def token_logprobs(
    logits: Tensor, tokens: Tensor, wanted: Sequence[int], kernels: Kernels, *, as_logits: bool = False
) -> list[TokenLogprobs]:
    """For each row of logits [rows, vocab], any float dtype: its token's logprob and rank, and its `wanted` likeliest.

    Of equally likely tokens the smaller id comes first. Nothing of a row depends on another row. `as_logits` puts the
    logits themselves in the place of log-probabilities.
    """
    found = kernels.describe(logits, tokens, min(max(wanted), logits.shape[1]))
    totals = torch.zeros_like(found.totals) if as_logits else found.totals
    own = (logits.gather(1, tokens.unsqueeze(1)).squeeze(1).float() - totals).tolist()
    top, top_ids, rank = (found.values - totals.unsqueeze(1)).tolist(), found.ids.tolist(), found.ranks.tolist()
    # What cannot come at all is not among the likeliest.
    counts = [min(count, sum(value > -math.inf for value in top[row])) for row, count in enumerate(wanted)]
    return [
        TokenLogprobs(own[row], rank[row], top_ids[row][:count], top[row][:count]) for row, count in enumerate(counts)
    ]


def largest_logprobs(logits: Tensor, count: int, kernels: Kernels) -> tuple[Tensor, Tensor]:
    """The `count` largest log-probabilities, float32, of each row of logits [rows, vocab], falling, and their tokens.

    Both [rows, count], or [rows, vocab] if the vocabulary is smaller.
    """
    any_token = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
    found = kernels.describe(logits, any_token, min(count, logits.shape[1]))
    return found.values - found.totals.unsqueeze(1), found.ids
