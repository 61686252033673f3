"""From the engine's plan to the model's batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from portico.engine.plan import Row
from portico.model.batch import Batch, Group, Tile
from portico.model.cache import KVCache
from portico.model.config import ModelConfig

_TILE = 256
"""Queries of a chunk that attend together: keys after the last of them are left out, and scores stay near the cache."""

_PADDING = 64
"""Positions by which any row may be padded to join a group; long rows, by a quarter of the longest. A group of its own
costs every layer some ten small operations."""


@dataclass(frozen=True, slots=True)
class _Span:
    """Rows of equally many tokens, which form a group."""

    rows: Sequence[Row]
    start: int
    """The first row's first token in the batch."""

    @property
    def queries(self) -> int:
        return len(self.rows[0].token_ids)

    @property
    def tokens(self) -> slice:
        return slice(self.start, self.start + len(self.rows) * self.queries)


class BatchBuilder:
    """Lays plans out for one model and cache; keeps nothing between them."""

    def __init__(self, config: ModelConfig, cache: KVCache, dtype: torch.dtype, device: torch.device) -> None:
        self._windows = sorted(set(config.windows), key=lambda window: window or 0)
        self._heads_per_key = config.num_heads // config.num_kv_heads
        self._cache = cache
        self._dtype = dtype
        self._device = device

    def build(self, rows: Sequence[Row]) -> tuple[Batch, list[int]]:
        """The batch, and for each of its draws the place of the row in `rows`."""
        order = _order(rows)
        ordered = [rows[i] for i in order]
        positions = np.concatenate([np.arange(row.start, row.start + len(row.token_ids)) for row in ordered])
        blocks, offsets = self._locate(ordered, positions)
        spans = list(_spans(ordered))
        ends = np.cumsum([len(row.token_ids) for row in ordered])
        drawing = [i for i, row in enumerate(ordered) if row.draw is not None]
        batch = Batch(
            token_ids=self._tensor(np.concatenate([np.asarray(row.token_ids, dtype=np.int64) for row in ordered])),
            positions=self._tensor(positions),
            write_index=self._tensor(self._cache.write_index(blocks, offsets)),
            groups={window: [self._group(span, window) for span in spans] for window in self._windows},
            draws=self._tensor(ends[drawing].astype(np.int64) - 1),
        )
        return batch, [order[i] for i in drawing]

    def _locate(self, rows: Sequence[Row], positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Block and offset of every token."""
        size = self._cache.block_size
        tables = [np.asarray(row.blocks, dtype=np.int64)[_block_range(row, size)] for row in rows]
        return np.concatenate(tables), positions % size

    def _group(self, span: _Span, window: int | None) -> Group:
        """The blocks that a group's queries can see, padded with block 0, and its tiles."""
        size, queries = self._cache.block_size, span.queries
        starts = np.array([row.start for row in span.rows])
        first = np.zeros_like(starts) if window is None else np.maximum(starts - window + 1, 0) // size
        counts = (starts + queries - 1) // size + 1 - first
        table = np.zeros((len(span.rows), counts.max()), dtype=np.int64)
        for line, row, begin, count in zip(table, span.rows, first, counts, strict=True):
            line[:count] = row.blocks[begin : begin + count]
        origin = first * size
        tiles = []
        for begin in range(0, queries, _TILE):
            tile = slice(begin, min(begin + _TILE, queries))
            keys = _visible(starts - origin, tile, window, table.shape[1] * size)
            tiles.append(Tile(tile, keys, self._mask(starts, origin, tile, keys, window)))
        return Group(span.tokens, len(span.rows), self._tensor(self._cache.read_index(table)), tiles)

    def _mask(self, starts: np.ndarray, origin: np.ndarray, tile: slice, keys: slice, window: int | None) -> Tensor:
        """0 where a query sees a key, -inf elsewhere; see `Tile.mask`."""
        query = self._tensor(starts[:, None] + np.arange(tile.start, tile.stop))[:, None, :, None, None]
        key = self._tensor(origin[:, None] + np.arange(keys.start, keys.stop))[:, None, None, None, :]
        hidden = key > query if window is None else (key > query) | (key <= query - window)
        mask = torch.zeros(hidden.shape, dtype=self._dtype, device=self._device).masked_fill_(hidden, float("-inf"))
        sequences, width = mask.shape[0], mask.shape[-1]
        per_head = mask.expand(-1, 1, -1, self._heads_per_key, -1).reshape(sequences, 1, -1, width)
        expanded = per_head.expand(-1, self._cache.kv_heads, -1, -1)
        return expanded if sequences == 1 else expanded.contiguous()

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device, non_blocking=True)


def _order(rows: Sequence[Row]) -> list[int]:
    """Single tokens first, longest context first, so that rows of like length pad each other least."""
    return sorted(range(len(rows)), key=lambda i: (len(rows[i].token_ids) > 1, -rows[i].start))


def _spans(rows: Sequence[Row]) -> Iterator[_Span]:
    """Cut ordered rows into groups: decodes where padding would cost more than another group, chunks one by one."""
    token, first = 0, 0
    for end in range(1, len(rows) + 1):
        group = rows[first:end]
        if end < len(rows) and _goes_with(group, rows[end]):
            continue
        yield _Span(group, token)
        token += sum(len(row.token_ids) for row in group)
        first = end


def _goes_with(group: Sequence[Row], row: Row) -> bool:
    if len(row.token_ids) > 1 or len(group[0].token_ids) > 1:
        return False
    return (group[0].start - row.start) <= max(_PADDING, group[0].start // 4)


def _block_range(row: Row, size: int) -> np.ndarray:
    return np.arange(row.start, row.start + len(row.token_ids)) // size


def _visible(starts: np.ndarray, tile: slice, window: int | None, width: int) -> slice:
    """The gathered positions that any query of a tile sees; `starts` counts from each sequence's first gathered one."""
    if len(starts) > 1:
        return slice(0, width)
    start = int(starts[0])
    low = 0 if window is None else max(start + tile.start - window + 1, 0)
    return slice(low, start + tile.stop)
