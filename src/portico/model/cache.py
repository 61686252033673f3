"""Keys and values of all layers, in blocks."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from portico.kernels.dispatch import Kernels
from portico.model.config import ModelConfig


class KVCache:
    """One pool a layer, [blocks, 2, kv_heads, block_size, head_dim]: keys and values of a block side by side.

    The heads stand outside the tokens so that a gather of blocks yields, for every head, one contiguous matrix
    [tokens, head_dim], which is what batched products want. Block 0 is padding.
    """

    def __init__(
        self,
        config: ModelConfig,
        num_blocks: int,
        block_size: int,
        dtype: torch.dtype,
        device: torch.device,
        kernels: Kernels,
    ) -> None:
        shape = (num_blocks, 2, config.num_kv_heads, block_size, config.head_dim)
        self.pools = [lazy_zeros(shape, dtype, device) for _ in range(config.num_layers)]
        self.num_blocks, _, self.kv_heads, self.block_size, self.head_dim = shape
        self._kernels = kernels
        self._workspace = torch.empty(0, dtype=dtype, device=device)

    def write(self, layer: int, index: Tensor, key_value: Tensor) -> None:
        """Store key_value [tokens, 2 * kv_heads, head_dim] at `index`, rows from `write_index`."""
        self.pools[layer].view(-1, self.head_dim).index_copy_(0, index, key_value.reshape(-1, self.head_dim))

    def read(self, layer: int, index: Tensor, batch: int) -> tuple[Tensor, Tensor]:
        """Keys and values of the blocks at `index`, rows from `read_index`: [batch, kv_heads, tokens, head_dim] each.

        Both are views of a workspace that the next read overwrites.
        """
        width = self.block_size * self.head_dim
        if self._workspace.numel() < len(index) * width:
            self._workspace = self._workspace.new_empty(len(index) * width)
        out = self._workspace[: len(index) * width].view(len(index), width)
        self._kernels.gather(self.pools[layer].view(-1, width), index, out)
        key, value = out.view(2, batch, self.kv_heads, -1, self.head_dim)
        return key, value

    def write_index(self, blocks: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Rows of [.., head_dim] for tokens at blocks and offsets [tokens], in the order [tokens, 2, kv_heads]."""
        sides = np.arange(2 * self.kv_heads)
        heads = blocks[:, None] * (2 * self.kv_heads) + sides
        rows: np.ndarray = heads * self.block_size + offsets[:, None]
        return rows.reshape(-1)

    def read_index(self, blocks: np.ndarray) -> np.ndarray:
        """Rows of [.., block_size * head_dim] for block tables [batch, n], in the order [2, batch, kv_heads, n]."""
        sides = np.arange(2 * self.kv_heads).reshape(2, 1, self.kv_heads, 1)
        return (blocks[None, :, None, :] * (2 * self.kv_heads) + sides).reshape(-1)


def bytes_per_block(config: ModelConfig, block_size: int, dtype: torch.dtype) -> int:
    """Bytes that one block takes over all layers."""
    return 2 * config.num_layers * config.num_kv_heads * config.head_dim * block_size * dtype.itemsize


def lazy_zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros whose memory the system hands out at first touch, where it can; what was never written is finite."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.zeros(math.prod(shape) * dtype.itemsize, dtype=np.uint8)).view(dtype).view(shape)
