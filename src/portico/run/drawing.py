"""From the logits of a step's rows to what each row asks for: a token, its log-probabilities, or candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from portico.config.engine import LogprobsMode
from portico.decode.adjust import adjust, check_left, needs_adjusting
from portico.decode.logprobs import largest_logprobs, token_logprobs
from portico.decode.penalties import has_penalties, penalties
from portico.decode.random import uniforms
from portico.decode.sampling import greedy, is_greedy, processed, sample
from portico.engine.plan import Candidates, Draw, RowResult
from portico.kernels.dispatch import Kernels
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
    results = [RowResult() for _ in draws]
    adjusted = [i for i, draw in enumerate(draws) if needs_adjusting(draw.params, draw.position)]
    plain = sorted(set(range(len(draws))).difference(adjusted))
    for places in filter(None, (plain, adjusted)):
        wishes, raw = [draws[i] for i in places], _rows(logits, places)
        wished = _adjusted(raw, wishes, [masks.get(i) for i in places], kernels) if places is adjusted else raw
        tokens = _draw(wished, wishes, kernels)
        if places is adjusted:
            _check_left(wished, tokens, wishes)
        told = _logprobs(raw, wished, tokens, wishes, kernels, mode)
        candidates = _candidates(wished, wishes, kernels)
        for i, place in enumerate(places):
            if wishes[i].candidates:
                results[place] = RowResult(candidates=candidates[i])
            else:
                results[place] = RowResult((int(tokens[i]),), told[i])
    return results


def _check_left(logits: Tensor, tokens: Tensor, draws: Sequence[Draw]) -> None:
    chosen = logits.gather(1, tokens.unsqueeze(1)).squeeze(1).tolist()
    for draw, logit in zip(draws, chosen, strict=True):
        check_left(logit, draw.position)


def _adjusted(logits: Tensor, draws: Sequence[Draw], masks: Sequence[Tensor | None], kernels: Kernels) -> Tensor:
    """A copy of logits [rows, vocab] in float32, changed as each row wishes."""
    changed = kernels.widen(logits)
    masked = [i for i, mask in enumerate(masks) if mask is not None]
    if masked:
        bits = torch.stack([mask for mask in masks if mask is not None]).to(logits.device)
        rows = _rows(changed, masked)
        kernels.mask(rows, bits)
        if rows is not changed:
            changed[masked] = rows
    for row, draw in zip(changed, draws, strict=True):
        adjust(row, draw.params, draw.output_ids)
    if any(has_penalties(draw.params) for draw in draws):
        told = [(draw.params, draw.prompt_ids, draw.output_ids) for draw in draws]
        kernels.penalize(changed, penalties(told, changed.device))
    return changed


def _draw(logits: Tensor, draws: Sequence[Draw], kernels: Kernels) -> Tensor:
    """A token of each row, int64 [rows]; of a row that asks for candidates the likeliest."""
    warm = [i for i, draw in enumerate(draws) if not (is_greedy(draw.params) or draw.candidates)]
    if not warm:
        return greedy(logits, kernels)
    chosen = [draws[i] for i in warm]
    at = uniforms([d.params.seed for d in chosen], [d.choice for d in chosen], [d.position for d in chosen])
    drawn = sample(_rows(logits, warm), [d.params for d in chosen], at, kernels)
    if len(warm) == len(draws):
        return drawn
    tokens = greedy(logits, kernels)
    tokens[warm] = drawn
    return tokens


def _candidates(logits: Tensor, draws: Sequence[Draw], kernels: Kernels) -> list[Candidates]:
    """Of the rows that want them; a token that cannot come is none."""
    found = [Candidates((), ()) for _ in draws]
    rows = [i for i, draw in enumerate(draws) if draw.candidates]
    if rows:
        values, ids = largest_logprobs(_rows(logits, rows), max(draw.candidates for draw in draws), kernels)
        for row, logprobs, token_ids in zip(rows, values.tolist(), ids.tolist(), strict=True):
            possible = [value for value in logprobs[: draws[row].candidates] if value > -torch.inf]
            found[row] = Candidates(token_ids[: len(possible)], possible)
    return found


def _logprobs(
    raw: Tensor, wished: Tensor, tokens: Tensor, draws: Sequence[Draw], kernels: Kernels, mode: LogprobsMode
) -> list[TokenLogprobs | None]:
    """Of the rows that want them: from the logits as the model gave them, or as the tokens were drawn from them."""
    told: list[TokenLogprobs | None] = [None] * len(draws)
    wanted = {i: draw.params.logprobs for i, draw in enumerate(draws) if not draw.candidates}
    asked = {i: count for i, count in wanted.items() if count is not None}
    if asked:
        rows, as_logits = list(asked), mode.endswith("_logits")
        source = _rows(raw, rows)
        if mode.startswith("processed_"):
            source = processed(_rows(wished, rows), [draws[i].params for i in rows], kernels)
        found = token_logprobs(source, tokens[rows], list(asked.values()), kernels, as_logits=as_logits)
        for row, logprobs in zip(rows, found, strict=True):
            told[row] = logprobs
    return told


def _rows(logits: Tensor, rows: Sequence[int]) -> Tensor:
    """Some rows, without a copy if it is all of them in order."""
    return logits if list(rows) == list(range(len(logits))) else logits[rows]
