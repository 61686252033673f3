"""The context of attention that gathers: rows in groups that attend together, index lists and masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from portico.engine.plan import Row
from portico.kernels.attention import read_index, write_index
from portico.kernels.context import Gathered, Group, Tile

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


@dataclass(frozen=True, slots=True)
class GroupBuilder:
    """What groups depend on besides their rows."""

    windows: Sequence[int | None]
    """Those that occur among the model's layers."""
    heads_per_key: int
    kv_heads: int
    block_size: int
    dtype: torch.dtype
    device: torch.device

    def build(self, rows: Sequence[Row], slots: np.ndarray) -> Gathered:
        """The context of rows in the order that `grouped_order` gives, `slots` those of their tokens."""
        spans = list(_spans(rows))
        groups = {window: [self._group(span, window) for span in spans] for window in self.windows}
        return Gathered(groups, self._tensor(write_index(slots, self.kv_heads, self.block_size)))

    def _group(self, span: _Span, window: int | None) -> Group:
        """The blocks that a group's queries can see, padded with block 0, and its tiles."""
        size, queries = self.block_size, span.queries
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
        return Group(span.tokens, len(span.rows), self._tensor(read_index(table, self.kv_heads)), tiles)

    def _mask(self, starts: np.ndarray, origin: np.ndarray, tile: slice, keys: slice, window: int | None) -> Tensor:
        """0 where a query sees a key, -inf elsewhere; see `Tile.mask`."""
        query = self._tensor(starts[:, None] + np.arange(tile.start, tile.stop))[:, None, :, None, None]
        key = self._tensor(origin[:, None] + np.arange(keys.start, keys.stop))[:, None, None, None, :]
        hidden = key > query if window is None else (key > query) | (key <= query - window)
        mask = torch.zeros(hidden.shape, dtype=self.dtype, device=self.device).masked_fill_(hidden, float("-inf"))
        sequences, width = mask.shape[0], mask.shape[-1]
        per_head = mask.expand(-1, 1, -1, self.heads_per_key, -1).reshape(sequences, 1, -1, width)
        expanded = per_head.expand(-1, self.kv_heads, -1, -1)
        return expanded if sequences == 1 else expanded.contiguous()

    def _tensor(self, values: np.ndarray) -> Tensor:
        return to_tensor(values, self.device)


def to_tensor(values: np.ndarray, device: torch.device) -> Tensor:
    """The values on a device."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(device, non_blocking=True)


def grouped_order(rows: Sequence[Row]) -> list[int]:
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


def _visible(starts: np.ndarray, tile: slice, window: int | None, width: int) -> slice:
    """The gathered positions that any query of a tile sees; `starts` counts from each sequence's first gathered one."""
    if len(starts) > 1:
        return slice(0, width)
    start = int(starts[0])
    low = 0 if window is None else max(start + tile.start - window + 1, 0)
    return slice(low, start + tile.stop)
