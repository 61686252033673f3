"""The runner of the engine's plans on torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from portico.decode.adjust import adjust, needs_adjusting
from portico.decode.logprobs import token_logprobs
from portico.decode.random import uniforms
from portico.decode.sampling import greedy, is_greedy, sample
from portico.engine.plan import Draw, StepPlan, StepResult
from portico.model.cache import KVCache
from portico.model.decoder import Decoder
from portico.protocol.messages import TokenLogprobs
from portico.run.batch import BatchBuilder


class TorchRunner:
    """Implements `portico.engine.plan.Runner`; owns the model's weights and the KV cache."""

    def __init__(self, decoder: Decoder, cache: KVCache) -> None:
        self.decoder = decoder
        self.cache = cache
        self._builder = BatchBuilder(decoder, cache.block_size)

    def run(self, plan: StepPlan) -> StepResult:
        """Compute every row's keys, values and logits, and draw the tokens that are asked for."""
        if not plan.rows:
            return StepResult([], [])
        with torch.inference_mode():
            batch, order = self._builder.build(plan.rows)
            places = [place for place in order if plan.rows[place].draw is not None]
            logits = self.decoder(batch, self.cache)
            draws = [draw for place in places if (draw := plan.rows[place].draw) is not None]
            tokens = draw_tokens(logits, draws)
            drawn = dict(zip(places, zip(tokens.tolist(), _logprobs(logits, tokens, draws), strict=True), strict=True))
        in_order = [drawn[place] for place in sorted(drawn)]
        return StepResult([token for token, _ in in_order], [logprobs for _, logprobs in in_order])


def draw_tokens(logits: Tensor, draws: Sequence[Draw]) -> Tensor:
    """The token of each row of logits [rows, vocab], any float dtype, by its row's wishes: int64 [rows]."""
    tokens = greedy(logits)
    special = [i for i, draw in enumerate(draws) if not is_greedy(draw.params) or _adjusts(draw)]
    if special:
        tokens[special] = _draw_special(logits[special].float(), [draws[i] for i in special])
    return tokens


def _logprobs(logits: Tensor, tokens: Tensor, draws: Sequence[Draw]) -> list[TokenLogprobs | None]:
    """Of the rows that want them, from the logits as the model gave them."""
    told: list[TokenLogprobs | None] = [None] * len(draws)
    asked = [(i, wanted) for i, draw in enumerate(draws) if (wanted := draw.params.logprobs) is not None]
    if asked:
        rows = [i for i, _ in asked]
        found = token_logprobs(logits[rows], tokens[rows], [wanted for _, wanted in asked])
        for row, logprobs in zip(rows, found, strict=True):
            told[row] = logprobs
    return told


def _draw_special(logits: Tensor, draws: Sequence[Draw]) -> Tensor:
    """Rows that need more than their largest logit; `logits` is float32 and changed in place."""
    for row, draw in zip(logits, draws, strict=True):
        if _adjusts(draw):
            adjust(row, draw.params, draw.prompt_ids, draw.output_ids)
    tokens = greedy(logits)
    warm = [i for i, draw in enumerate(draws) if not is_greedy(draw.params)]
    if warm:
        chosen = [draws[i] for i in warm]
        at = uniforms([d.params.seed for d in chosen], [d.choice for d in chosen], [d.position for d in chosen])
        tokens[warm] = sample(logits[warm], [d.params for d in chosen], at)
    return tokens


def _adjusts(draw: Draw) -> bool:
    return needs_adjusting(draw.params, draw.position)
