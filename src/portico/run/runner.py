"""The runner of the engine's plans on torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Tensor

from portico.config.engine import LogprobsMode
from portico.decode.grammar import Grammars
from portico.decode.logprobs import token_logprobs
from portico.engine.plan import Draw, Row, RowResult, Score, StepPlan
from portico.errors import EngineError
from portico.model.cache import KVCache
from portico.model.decode_tapes import DecodeTapes
from portico.model.decoder import Decoder
from portico.protocol.messages import TokenLogprobs
from portico.protocol.sampling import TokenParams
from portico.run.batch import BatchBuilder, wanted_places
from portico.run.drawing import draw_rows
from portico.run.pooling import pool

_SCORED_TOGETHER = 64
"""Prompt tokens whose logits are in memory at the same time."""

_FORCED_TOGETHER = 32
"""Tokens that must follow a drawn one and are computed with it; the others are next."""


class TorchRunner:
    """Implements `portico.engine.plan.Runner`; owns the model's weights and the KV cache."""

    def __init__(
        self, decoder: Decoder, cache: KVCache, grammars: Grammars, logprobs_mode: LogprobsMode = "raw_logprobs"
    ) -> None:
        self.decoder = decoder
        self.grammars = grammars
        self.cache = cache
        self._logprobs_mode = logprobs_mode
        self._tapes = None if decoder.kernels.record is None else DecodeTapes(decoder, cache)
        self._builder = BatchBuilder(decoder, cache.block_size)
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="grammars")

    def prepare(self) -> None:
        """Begin to do beside the steps what the first row with a grammar would wait for."""
        self._beside.submit(self.grammars.prepare)

    def ready(self, params: TokenParams) -> bool:
        """Whether a row with these wishes waits for the model alone; begins to prepare what it would wait for."""
        return params.grammar is None or self.grammars.ready(params.grammar)

    def run(self, plan: StepPlan) -> list[RowResult]:
        """Compute every row's keys, values and logits, and draw the tokens that are asked for."""
        if not plan.rows:
            return []
        drawing = [place for place, row in enumerate(plan.rows) if row.draw is not None]
        masks = self._masks([plan.rows[place] for place in drawing])
        with torch.inference_mode():
            hidden = self._forward(plan.rows)
            results = [self._read(states, row) for states, row in zip(hidden, plan.rows, strict=True)]
            if drawing:
                logits = self.decoder.logits(torch.stack([hidden[place][-1] for place in drawing]))
                drawn = self._draw([plan.rows[place] for place in drawing], logits, *masks.result())
                for place, result in zip(drawing, drawn, strict=True):
                    results[place] = replace(result, scores=results[place].scores)
            return results

    def _forward(self, rows: Sequence[Row]) -> list[Tensor]:
        """The hidden states [wanted places, hidden] of each row."""
        self.cache.copy([row.copied for row in rows if row.copied is not None])
        batch, order = self._builder.build(rows)
        if self._tapes is not None and self._tapes.takes(batch):
            hidden = self._tapes(batch)
        else:
            hidden = self.decoder(batch, self.cache)
        parts = torch.split(hidden, [len(wanted_places(rows[place])) for place in order])
        of_row = dict(zip(order, parts, strict=True))
        return [of_row[place] for place in range(len(rows))]

    def _masks(self, rows: Sequence[Row]) -> Future[tuple[dict[int, Tensor], dict[int, str]]]:
        """Begin to find, by the index of the row, which tokens its grammar lets through; the model runs meanwhile.

        Beside them, what is wrong with the grammars that cannot be followed.
        """
        asked = [(place, row, row.draw) for place, row in enumerate(rows) if row.draw and row.draw.params.grammar]
        if not asked:
            nothing: Future[tuple[dict[int, Tensor], dict[int, str]]] = Future()
            nothing.set_result(({}, {}))
            return nothing

        def find() -> tuple[dict[int, Tensor], dict[int, str]]:
            masks: dict[int, Tensor] = {}
            problems: dict[int, str] = {}
            for place, row, draw in asked:
                assert draw.params.grammar is not None
                singly = _leaves_no_choice(draw)
                try:
                    masks[place] = self.grammars.allowed(
                        row.sequence_id, draw.params.grammar, draw.output_ids, forced_singly=singly
                    )
                except EngineError as error:  # of this row alone: the others of the step have done nothing
                    problems[place] = str(error)
            return masks, problems

        return self._beside.submit(find)

    def _draw(
        self, rows: Sequence[Row], logits: Tensor, masks: Mapping[int, Tensor], problems: Mapping[int, str]
    ) -> list[RowResult]:
        """Draw a token for each row, or find its candidates, from its logits [rows, vocab]."""
        draws = [row.draw for row in rows if row.draw is not None]
        results = draw_rows(logits, draws, self.decoder.kernels, masks, self._logprobs_mode)
        return [
            RowResult(error=problems[place]) if place in problems else self._with_forced(row.sequence_id, draw, result)
            for place, (row, draw, result) in enumerate(zip(rows, draws, results, strict=True))
        ]

    def _with_forced(self, sequence_id: int, draw: Draw, result: RowResult) -> RowResult:
        """A draw's result with the tokens that must follow."""
        try:
            forced = self._forced(sequence_id, draw, result.token_ids)
        except EngineError as error:
            return RowResult(error=str(error))
        return replace(result, token_ids=(*result.token_ids, *forced))

    def _forced(self, sequence_id: int, draw: Draw, token_ids: Sequence[int]) -> list[int]:
        """The tokens that must follow a drawn one; not where they are to be reported with their log-probabilities."""
        params = draw.params
        if params.grammar is None or params.logprobs is not None or not _leaves_no_choice(draw):
            return []
        if token_ids[0] in params.stop_token_ids:
            return []
        return self.grammars.forced(sequence_id, params.grammar, [*draw.output_ids, *token_ids])[:_FORCED_TOGETHER]

    def _read(self, hidden: Tensor, row: Row) -> RowResult:
        """What a row tells of the prompt's own tokens."""
        if row.pool is not None:
            return RowResult(pooled=pool(row, hidden))
        return RowResult() if row.score is None else RowResult(scores=self._score(hidden, row.score))

    def _score(self, hidden: Tensor, score: Score) -> list[TokenLogprobs]:
        """Log-probabilities of a row's targets, some at a time: logits of a whole prompt would fill the memory."""
        told = []
        as_logits = self._logprobs_mode.endswith("_logits")
        for start in range(0, len(score.targets), _SCORED_TOGETHER):
            targets = torch.tensor(score.targets[start : start + _SCORED_TOGETHER], device=hidden.device)
            logits = self.decoder.logits(hidden[start : start + len(targets)])
            told += token_logprobs(
                logits, targets, [score.top] * len(targets), self.decoder.kernels, as_logits=as_logits
            )
        return told


def _leaves_no_choice(draw: Draw) -> bool:
    """Whether a token that the grammar forces may be taken for granted: no other wish can be against it."""
    params = draw.params
    other = params.bad_words or params.allowed_token_ids or draw.position < params.min_tokens
    return not (other or draw.candidates)
