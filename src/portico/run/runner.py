"""The runner of the engine's plans on torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from portico.decode.grammar import Grammars
from portico.decode.logprobs import token_logprobs
from portico.engine.plan import Row, RowResult, Score, StepPlan
from portico.model.cache import KVCache
from portico.model.decoder import Decoder
from portico.protocol.messages import TokenLogprobs
from portico.run.batch import BatchBuilder, logit_places
from portico.run.drawing import draw_rows

_SCORED_TOGETHER = 64
"""Prompt tokens whose logits are in memory at the same time."""


class TorchRunner:
    """Implements `portico.engine.plan.Runner`; owns the model's weights and the KV cache."""

    def __init__(self, decoder: Decoder, cache: KVCache, grammars: Grammars) -> None:
        self.decoder = decoder
        self.grammars = grammars
        self.cache = cache
        self._builder = BatchBuilder(decoder, cache.block_size)

    def run(self, plan: StepPlan) -> list[RowResult]:
        """Compute every row's keys, values and logits, and draw the tokens that are asked for."""
        if not plan.rows:
            return []
        with torch.inference_mode():
            self.cache.copy([row.copied for row in plan.rows if row.copied is not None])
            batch, order = self._builder.build(plan.rows)
            hidden = self.decoder(batch, self.cache)
            parts = torch.split(hidden, [len(logit_places(plan.rows[place])) for place in order])
            of_row = dict(zip(order, parts, strict=True))
            results = [RowResult() for _ in plan.rows]
            for place, row in enumerate(plan.rows):
                if row.score is not None:
                    results[place] = RowResult(scores=self._score(of_row[place], row.score))
            drawing = [place for place, row in enumerate(plan.rows) if row.draw is not None]
            if drawing:
                last = torch.stack([of_row[place][-1] for place in drawing])
                drawn = self._draw([plan.rows[place] for place in drawing], self.decoder.logits(last))
                for place, result in zip(drawing, drawn, strict=True):
                    results[place] = replace(result, scores=results[place].scores)
            return results

    def _draw(self, rows: Sequence[Row], logits: Tensor) -> list[RowResult]:
        """Draw a token for each row, or find its candidates, from its logits [rows, vocab]."""
        draws = [row.draw for row in rows if row.draw is not None]
        fitting = {
            place: self.grammars.allowed(row.sequence_id, draw.params.grammar, draw.output_ids)
            for place, (row, draw) in enumerate(zip(rows, draws, strict=True))
            if draw.params.grammar is not None
        }
        return draw_rows(logits, draws, self.decoder.kernels, fitting)

    def _score(self, hidden: Tensor, score: Score) -> list[TokenLogprobs]:
        """Log-probabilities of a row's targets, some at a time: logits of a whole prompt would fill the memory."""
        told = []
        for start in range(0, len(score.targets), _SCORED_TOGETHER):
            targets = torch.tensor(score.targets[start : start + _SCORED_TOGETHER], device=hidden.device)
            logits = self.decoder.logits(hidden[start : start + len(targets)])
            told += token_logprobs(logits, targets, [score.top] * len(targets), self.decoder.kernels)
        return told
