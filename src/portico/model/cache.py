"""Keys and values of all layers, in blocks."""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from portico.kernels.int8_keys import row_width
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
    return KVCache(list(lazy_zeros((config.num_layers, *shape), dtype, device)))


def bytes_per_block(config: ModelConfig, block_size: int, dtype: torch.dtype) -> int:
    """Bytes that one block takes over all layers."""
    row = row_width(config.head_dim, dtype) * dtype.itemsize
    return 2 * config.num_layers * config.num_kv_heads * block_size * row


def lazy_zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros whose memory the system hands out at first touch, where it can; what was never written is finite.

    On Linux in huge pages, for blocks lie anywhere and each small page would be an entry more to look up.
    """
    if device.type != "cpu" or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.zeros(shape, dtype=dtype, device=device)
    memory = mmap.mmap(-1, math.prod(shape) * dtype.itemsize, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype).view(shape)
