"""The runner of the engine's plans on torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from portico.decode.adjust import adjust, needs_adjusting
from portico.decode.grammar import Grammars
from portico.decode.logprobs import token_logprobs
from portico.decode.random import uniforms
from portico.decode.sampling import greedy, is_greedy, sample
from portico.engine.plan import Draw, Row, Score, StepPlan, StepResult
from portico.kernels.dispatch import Kernels
from portico.model.cache import KVCache
from portico.model.decoder import Decoder
from portico.protocol.messages import TokenLogprobs
from portico.run.batch import BatchBuilder, logit_places

_SCORED_TOGETHER = 64
"""Prompt tokens whose logits are in memory at the same time."""


class TorchRunner:
    """Implements `portico.engine.plan.Runner`; owns the model's weights and the KV cache."""

    def __init__(self, decoder: Decoder, cache: KVCache, grammars: Grammars) -> None:
        self.decoder = decoder
        self.grammars = grammars
        self.cache = cache
        self._builder = BatchBuilder(decoder, cache.block_size)

    def run(self, plan: StepPlan) -> StepResult:
        """Compute every row's keys, values and logits, and draw the tokens that are asked for."""
        if not plan.rows:
            return StepResult([], [])
        with torch.inference_mode():
            batch, order = self._builder.build(plan.rows)
            hidden = self.decoder(batch, self.cache)
            parts = torch.split(hidden, [len(logit_places(plan.rows[place])) for place in order])
            of_row = dict(zip(order, parts, strict=True))
            drawing = [(row, row.draw, of_row[i][-1]) for i, row in enumerate(plan.rows) if row.draw is not None]
            scores = [self._score(of_row[i], row.score) for i, row in enumerate(plan.rows) if row.score is not None]
            return self._draw(drawing, scores)

    def _draw(self, drawing: Sequence[tuple[Row, Draw, Tensor]], scores: Sequence[list[TokenLogprobs]]) -> StepResult:
        """Draw a token for each wish from its hidden state [hidden]."""
        if not drawing:
            return StepResult([], [], scores)
        draws = [draw for _, draw, _ in drawing]
        fitting = {
            place: self.grammars.allowed(row.sequence_id, draw.params.grammar, draw.output_ids)
            for place, (row, draw, _) in enumerate(drawing)
            if draw.params.grammar is not None
        }
        logits = self.decoder.logits(torch.stack([hidden for _, _, hidden in drawing]))
        tokens = draw_tokens(logits, draws, self.decoder.kernels, fitting)
        return StepResult(tokens.tolist(), _logprobs(logits, tokens, draws, self.decoder.kernels), scores)

    def _score(self, hidden: Tensor, score: Score) -> list[TokenLogprobs]:
        """Log-probabilities of a row's targets, some at a time: logits of a whole prompt would fill the memory."""
        told = []
        for start in range(0, len(score.targets), _SCORED_TOGETHER):
            targets = torch.tensor(score.targets[start : start + _SCORED_TOGETHER], device=hidden.device)
            logits = self.decoder.logits(hidden[start : start + len(targets)])
            told += token_logprobs(logits, targets, [score.top] * len(targets), self.decoder.kernels)
        return told


def draw_tokens(
    logits: Tensor, draws: Sequence[Draw], kernels: Kernels, fitting: Mapping[int, Tensor] = MappingProxyType({})
) -> Tensor:
    """The token of each row of logits [rows, vocab], any float dtype, by its row's wishes: int64 [rows].

    `fitting` are the tokens [vocab] that the grammars of those rows that have one let through.
    """
    tokens = torch.empty(len(draws), dtype=torch.int64, device=logits.device)
    adjusted = [i for i, draw in enumerate(draws) if needs_adjusting(draw.params, draw.position)]
    if adjusted:
        changed = logits[adjusted].float()
        for row, place in zip(changed, adjusted, strict=True):
            draw = draws[place]
            adjust(row, draw.params, draw.prompt_ids, draw.output_ids, fitting.get(place))
        tokens[adjusted] = _draw_rows(changed, [draws[i] for i in adjusted], kernels)
    plain = sorted(set(range(len(draws))).difference(adjusted))
    if plain:
        tokens[plain] = _draw_rows(_rows(logits, plain), [draws[i] for i in plain], kernels)
    return tokens


def _draw_rows(logits: Tensor, draws: Sequence[Draw], kernels: Kernels) -> Tensor:
    """Draw from logits that are as they shall be."""
    warm = [i for i, draw in enumerate(draws) if not is_greedy(draw.params)]
    if not warm:
        return greedy(logits)
    chosen = [draws[i] for i in warm]
    at = uniforms([d.params.seed for d in chosen], [d.choice for d in chosen], [d.position for d in chosen])
    drawn = sample(_rows(logits, warm), [d.params for d in chosen], at, kernels)
    if len(warm) == len(draws):
        return drawn
    tokens = greedy(logits)
    tokens[warm] = drawn
    return tokens


def _logprobs(logits: Tensor, tokens: Tensor, draws: Sequence[Draw], kernels: Kernels) -> list[TokenLogprobs | None]:
    """Of the rows that want them, from the logits as the model gave them."""
    told: list[TokenLogprobs | None] = [None] * len(draws)
    asked = [(i, wanted) for i, draw in enumerate(draws) if (wanted := draw.params.logprobs) is not None]
    if asked:
        rows = [i for i, _ in asked]
        found = token_logprobs(_rows(logits, rows), tokens[rows], [wanted for _, wanted in asked], kernels)
        for row, logprobs in zip(rows, found, strict=True):
            told[row] = logprobs
    return told


def _rows(logits: Tensor, rows: Sequence[int]) -> Tensor:
    """Some rows, without a copy if it is all of them in order."""
    return logits if list(rows) == list(range(len(logits))) else logits[rows]
