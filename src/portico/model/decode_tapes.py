"""Decode steps played from tapes: one is recorded for each number of sequences, at the first step that has so many."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from portico.kernels.context import Paged
from portico.kernels.tape import MOST_ROWS, Tape
from portico.model.batch import Batch
from portico.model.cache import KVCache
from portico.model.decoder import Decoder


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What changes from step to step, in memory that stays."""

    x: Tensor
    cos: Tensor
    sin: Tensor
    context: Paged

    def first(self, rows: int) -> _Inputs:
        """The same memory for steps of fewer rows."""
        c = self.context
        context = Paged(c.tables[:rows], c.starts[:rows], c.tokens[: rows + 1], c.slots[:rows])
        return _Inputs(self.x[:rows], self.cos[:rows], self.sin[:rows], context)

    def fill(self, x: Tensor, angles: tuple[Tensor, Tensor], context: Paged) -> None:
        self.x.copy_(x)
        self.cos.copy_(angles[0])
        self.sin.copy_(angles[1])
        self.context.tables[:, : context.tables.shape[1]].copy_(context.tables)
        self.context.starts.copy_(context.starts)
        self.context.slots.copy_(context.slots)


class DecodeTapes:
    """Runs a decoder's steps of one token a sequence; the results are those of the decoder, bit for bit.

    Only for a decoder whose kernels can be recorded.
    """

    def __init__(self, decoder: Decoder, cache: KVCache) -> None:
        assert decoder.kernels.record is not None
        self._decoder, self._cache, self._record = decoder, cache, decoder.kernels.record
        config, dtype, blocks = decoder.config, decoder.norm.weight.dtype, len(cache.pools[0])
        angles = (MOST_ROWS, 1, config.head_dim)
        self._inputs = _Inputs(
            torch.empty(MOST_ROWS, config.hidden_size, dtype=dtype),
            torch.empty(angles, dtype=dtype),
            torch.empty(angles, dtype=dtype),
            Paged(
                torch.zeros(MOST_ROWS, blocks, dtype=torch.int32),
                torch.empty(MOST_ROWS, dtype=torch.int32),
                torch.arange(MOST_ROWS + 1, dtype=torch.int32),
                torch.empty(MOST_ROWS, dtype=torch.int64),
            ),
        )
        self._tapes: dict[int, tuple[Tape, Tensor]] = {}

    def takes(self, batch: Batch) -> bool:
        """Whether this is such a step, of so many sequences that their tapes are worth it."""
        return (
            batch.draws is None
            and isinstance(batch.context, Paged)
            and len(batch.token_ids) == len(batch.context.starts) <= MOST_ROWS
        )

    def __call__(self, batch: Batch) -> Tensor:
        """As the decoder's; the result is overwritten by the next step."""
        assert isinstance(batch.context, Paged)
        decoder, rows = self._decoder, len(batch.token_ids)
        inputs = self._inputs.first(rows)
        x = decoder.embedding(batch.token_ids)
        inputs.fill(x, decoder.rotary.angles(batch.positions, x.dtype), batch.context)
        known = self._tapes.get(rows)
        if known is not None:
            tape, hidden = known
            tape.play()
            return hidden
        with self._record() as made:
            hidden = decoder.run(inputs.x, (inputs.cos, inputs.sin), inputs.context, None, self._cache)
        self._tapes[rows] = made(), hidden
        return hidden
