"""Keys and values of all layers, in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from portico.kernels.int8_keys import row_width
from portico.kernels.memory import large_zeros
from portico.model.config import ModelConfig


@dataclass(frozen=True, slots=True)
class KVCache:
    """One pool a layer, laid out as `portico.kernels.context` says; block 0 is padding."""

    pools: list[Tensor]

    @property
    def block_size(self) -> int:
        return self.pools[0].shape[3]

    def copy(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Make the second block of each pair a copy of the first, in all layers."""
        if pairs:
            sources, targets = (list(blocks) for blocks in zip(*pairs, strict=True))
            for pool in self.pools:
                pool[targets] = pool[sources]


def make_cache(
    config: ModelConfig, num_blocks: int, block_size: int, dtype: torch.dtype, device: torch.device
) -> KVCache:
    """An empty cache; with int8 each key and value has a scale."""
    shape = (num_blocks, 2, config.num_kv_heads, block_size, row_width(config.head_dim, dtype))
    zeros = large_zeros if device.type == "cpu" else partial(torch.zeros, device=device)
    return KVCache(list(zeros((config.num_layers, *shape), dtype=dtype)))


def bytes_per_block(config: ModelConfig, block_size: int, dtype: torch.dtype) -> int:
    """Bytes that one block takes over all layers."""
    row = row_width(config.head_dim, dtype) * dtype.itemsize
    return 2 * config.num_layers * config.num_kv_heads * block_size * row
