"""From the logits of a step's rows to what each row asks for: a token, its log-probabilities, or candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from portico.config.engine import LogprobsMode
from portico.decode.adjust import Wish, changes, check_left
from portico.decode.logprobs import largest_logprobs, token_logprobs
from portico.decode.random import uniforms
from portico.decode.sampling import changed, greedy, is_greedy, processed, sample
from portico.engine.plan import Candidates, Draw, RowResult
from portico.kernels.dispatch import Kernels
from portico.kernels.sampling import Changes
from portico.protocol.messages import TokenLogprobs


def draw_rows(
    logits: Tensor,
    draws: Sequence[Draw],
    kernels: Kernels,
    masks: Mapping[int, Tensor] = MappingProxyType({}),
    mode: LogprobsMode = "raw_logprobs",
) -> list[RowResult]:
    """What each row of logits [rows, vocab], any float dtype, gives by its wishes.

    `masks` are the bits, int32 [vocab / 32], of the tokens that the grammars of those rows that have one let through.
    Raises EngineError if no token is left for a row.
    """
    wishes = [Wish(d.params, d.prompt_ids, d.output_ids, masks.get(i)) for i, d in enumerate(draws)]
    done = changes(wishes, logits.shape[1], logits.device)
    tokens = _draw(logits, draws, kernels, done)
    told = _logprobs(logits, done, tokens, draws, kernels, mode)
    candidates = _candidates(logits, done, draws, kernels)
    return [
        RowResult(candidates=candidates[i]) if draw.candidates else RowResult((token,), told[i])
        for i, (draw, token) in enumerate(zip(draws, tokens.tolist(), strict=True))
    ]


def _draw(logits: Tensor, draws: Sequence[Draw], kernels: Kernels, done: Changes | None) -> Tensor:
    """A token of each row, int64 [rows]; of a row that asks for candidates any."""
    if done is None and all(is_greedy(draw.params) or draw.candidates for draw in draws):
        return greedy(logits, kernels)
    at = uniforms([d.params.seed for d in draws], [d.choice for d in draws], [d.position for d in draws])
    tokens, chosen = sample(logits, [draw.params for draw in draws], at, kernels, done)
    if done is not None:
        for draw, logit in zip(draws, chosen.tolist(), strict=True):
            check_left(logit, draw.position)
    return tokens


def _candidates(logits: Tensor, done: Changes | None, draws: Sequence[Draw], kernels: Kernels) -> list[Candidates]:
    """Of the rows that want them; a token that cannot come is none."""
    found = [Candidates((), ()) for _ in draws]
    rows = [i for i, draw in enumerate(draws) if draw.candidates]
    if rows:
        wide = changed(logits, done, kernels)
        values, ids = largest_logprobs(_rows(wide, rows), max(draw.candidates for draw in draws), kernels)
        for row, logprobs, token_ids in zip(rows, values.tolist(), ids.tolist(), strict=True):
            possible = [value for value in logprobs[: draws[row].candidates] if value > -torch.inf]
            found[row] = Candidates(token_ids[: len(possible)], possible)
    return found


def _logprobs(
    logits: Tensor,
    done: Changes | None,
    tokens: Tensor,
    draws: Sequence[Draw],
    kernels: Kernels,
    mode: LogprobsMode,
) -> list[TokenLogprobs | None]:
    """Of the rows that want them: from the logits as the model gave them, or as the tokens were drawn from them."""
    told: list[TokenLogprobs | None] = [None] * len(draws)
    wanted = {i: draw.params.logprobs for i, draw in enumerate(draws) if not draw.candidates}
    asked = {i: count for i, count in wanted.items() if count is not None}
    if asked:
        rows, as_logits = list(asked), mode.endswith("_logits")
        if mode.startswith("processed_"):
            logits = processed(logits, [draw.params for draw in draws], kernels, done)
        found = token_logprobs(_rows(logits, rows), tokens[rows], list(asked.values()), kernels, as_logits=as_logits)
        for row, logprobs in zip(rows, found, strict=True):
            told[row] = logprobs
    return told


def _rows(logits: Tensor, rows: Sequence[int]) -> Tensor:
    """Some rows, without a copy if it is all of them in order."""
    return logits if list(rows) == list(range(len(logits))) else logits[rows]
