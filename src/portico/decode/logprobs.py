"""Log-probabilities of tokens in the distribution that the model gave."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from portico.protocol.messages import TokenLogprobs


def token_logprobs(logits: Tensor, tokens: Tensor, wanted: Sequence[int]) -> list[TokenLogprobs]:
    """For each row of logits [rows, vocab], any float dtype: its token's logprob and rank, and its `wanted` likeliest.

    Of equally likely tokens the smaller id comes first. Nothing of a row depends on another row.
    """
    total = logits.float().logsumexp(dim=-1)
    own = logits.gather(1, tokens.unsqueeze(1))
    ranks = (logits >= own).sum(dim=-1).tolist()
    own_logprobs = (own.squeeze(1).float() - total).tolist()
    top_ids, top = _likeliest(logits, max(wanted))
    top = top.float() - total.unsqueeze(1)
    return [
        TokenLogprobs(own_logprobs[row], ranks[row], top_ids[row, :count].tolist(), top[row, :count].tolist())
        for row, count in enumerate(wanted)
    ]


def _likeliest(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Ids and logits [rows, count] of the likeliest, falling, ties by id: topk orders them as it likes."""
    count = min(count, logits.shape[1])
    if count == 0:
        return logits.new_empty(len(logits), 0, dtype=torch.int64), logits.new_empty(len(logits), 0)
    ids = [_row(row, count) for row in logits]
    chosen = torch.stack(ids)
    return chosen, logits.gather(1, chosen)


def _row(logits: Tensor, count: int) -> Tensor:
    least = logits.topk(count).values[-1]
    candidates = torch.nonzero(logits >= least).flatten()
    order = torch.sort(logits[candidates], descending=True, stable=True).indices
    return candidates[order[:count]]
