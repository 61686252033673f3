"""Log-probabilities of tokens in the distribution that the model gave."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from portico.kernels.dispatch import Kernels
from portico.protocol.messages import TokenLogprobs


def token_logprobs(logits: Tensor, tokens: Tensor, wanted: Sequence[int], kernels: Kernels) -> list[TokenLogprobs]:
    """For each row of logits [rows, vocab], any float dtype: its token's logprob and rank, and its `wanted` likeliest.

    Of equally likely tokens the smaller id comes first. Nothing of a row depends on another row.
    """
    total = _log_total(logits, kernels)
    own = logits.gather(1, tokens.unsqueeze(1))
    ranks = (
        (logits >= own).view(torch.int8).sum(dim=-1, dtype=torch.int32).tolist()
    )  # of bool it takes ten times as long
    own_logprobs = (own.squeeze(1).float() - total).tolist()
    values, ids = kernels.top(logits, min(max(wanted), logits.shape[1]))
    top, top_ids = (values - total.unsqueeze(1)).tolist(), ids.tolist()
    return [
        TokenLogprobs(own_logprobs[row], ranks[row], top_ids[row][:count], top[row][:count])
        for row, count in enumerate(wanted)
    ]


def largest_logprobs(logits: Tensor, count: int, kernels: Kernels) -> tuple[Tensor, Tensor]:
    """The `count` largest log-probabilities, float32, of each row of logits [rows, vocab], falling, and their tokens.

    Both [rows, count], or [rows, vocab] if the vocabulary is smaller.
    """
    values, ids = kernels.top(logits, min(count, logits.shape[1]))
    return values - _log_total(logits, kernels).unsqueeze(1), ids


def _log_total(logits: Tensor, kernels: Kernels) -> Tensor:
    """The logarithm of the sum of exponentials of each row, float32 [rows]."""
    whole = kernels.draw(logits, torch.ones(len(logits), device=logits.device), None)
    return whole.largest + whole.total.log().float()
