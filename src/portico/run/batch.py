"""From the engine's plan to the model's batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from portico.engine.plan import Row
from portico.kernels.context import Context, Paged
from portico.model.batch import Batch
from portico.model.decoder import Decoder
from portico.run.gathered import GroupBuilder, grouped_order, to_tensor
from portico.run.pooling import pooled_places


class BatchBuilder:
    """Lays plans out for one model and cache; keeps nothing between them."""

    def __init__(self, decoder: Decoder, block_size: int) -> None:
        config = decoder.config
        self._paged = decoder.kernels.paged
        self._block_size = block_size
        self._device = decoder.norm.weight.device
        self._groups = GroupBuilder(
            windows=sorted(set(config.windows), key=lambda window: window or 0),
            heads_per_key=config.num_heads // config.num_kv_heads,
            kv_heads=config.num_kv_heads,
            block_size=block_size,
            dtype=decoder.norm.weight.dtype,
            device=self._device,
        )

    def build(self, rows: Sequence[Row]) -> tuple[Batch, list[int]]:
        """The batch, and the order in which it has the rows."""
        order = list(range(len(rows))) if self._paged else grouped_order(rows)
        ordered = [rows[i] for i in order]
        tokens = np.cumsum([0, *(len(row.token_ids) for row in ordered)])
        positions = np.concatenate([np.arange(row.start, row.start + len(row.token_ids)) for row in ordered])
        wanted = [tokens[i] + at for i, row in enumerate(ordered) for at in wanted_places(row)]
        batch = Batch(
            token_ids=self._tensor(np.concatenate([np.asarray(row.token_ids, dtype=np.int64) for row in ordered])),
            positions=self._tensor(positions),
            context=self._context(ordered, tokens, self._slots(ordered, positions)),
            draws=None if len(wanted) == len(positions) else self._tensor(np.array(wanted, dtype=np.int64)),
        )
        return batch, order

    def _slots(self, rows: Sequence[Row], positions: np.ndarray) -> np.ndarray:
        """Where each token's keys and values go, counted in tokens from the start of the pool."""
        size = self._block_size
        touched = [
            np.asarray(row.blocks, dtype=np.int64)[np.arange(row.start, row.start + len(row.token_ids)) // size]
            for row in rows
        ]
        slots: np.ndarray = np.concatenate(touched) * size + positions % size
        return slots

    def _context(self, rows: Sequence[Row], tokens: np.ndarray, slots: np.ndarray) -> Context:
        if not self._paged:
            return self._groups.build(rows, slots)
        tables = np.zeros((len(rows), max(len(row.blocks) for row in rows)), dtype=np.int32)
        for line, row in zip(tables, rows, strict=True):
            line[: len(row.blocks)] = row.blocks
        starts = np.array([row.start for row in rows], dtype=np.int32)
        return Paged(*map(self._tensor, (tables, starts, tokens.astype(np.int32), slots)))

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return to_tensor(values, self._device)


def wanted_places(row: Row) -> list[int]:
    """The tokens of a row whose hidden states are wanted: for its vector, for its scores, then the last if it draws."""
    scored = range(len(row.score.targets)) if row.score is not None else range(0)
    drawn = [len(row.token_ids) - 1] if row.draw is not None else []
    return [*pooled_places(row), *scored, *drawn]
