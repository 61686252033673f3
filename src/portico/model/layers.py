"""The parts of a decoder layer: attention over the paged cache, and the gated feed-forward."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from portico.kernels.dispatch import Kernels
from portico.kernels.linear import Linear
from portico.model.batch import Batch, Group
from portico.model.cache import KVCache
from portico.model.config import ModelConfig


@dataclass(frozen=True, slots=True)
class RMSNorm:
    """Root mean square normalisation with a learnt weight."""

    weight: Tensor
    eps: float
    kernels: Kernels

    def __call__(self, x: Tensor) -> Tensor:
        return self.kernels.rms_norm(x, self.weight, self.eps)


@dataclass(frozen=True, slots=True)
class MLP:
    """down(silu(gate(x)) * up(x)), gate and up as one product."""

    gate_up: Linear
    down: Linear
    kernels: Kernels

    def __call__(self, x: Tensor) -> Tensor:
        return self.down(self.kernels.silu_mul(self.gate_up(x)))


@dataclass(frozen=True, slots=True)
class Attention:
    """Grouped-query attention (Ainslie et al. 2023, arXiv:2305.13245) with rotary positions; q, k, v as one product."""

    layer: int
    config: ModelConfig
    qkv: Linear
    out: Linear
    qk_norm: RMSNorm | None
    """Over query and key heads, weight [heads + kv_heads, head_dim]."""
    kernels: Kernels

    def __call__(self, x: Tensor, angles: tuple[Tensor, Tensor], batch: Batch, cache: KVCache) -> Tensor:
        """x [tokens, hidden] -> [tokens, hidden]; writes the tokens' keys and values to the cache first."""
        heads, kv_heads, width = self.config.num_heads, self.config.num_kv_heads, self.config.head_dim
        qkv = self.qkv(x).view(-1, heads + 2 * kv_heads, width)
        query_key = qkv[:, : heads + kv_heads]
        if self.qk_norm is not None:
            query_key.copy_(self.qk_norm(query_key))
        self.kernels.rotate(query_key, *angles)
        cache.write(self.layer, batch.write_index, qkv[:, heads:])
        attended = torch.empty_like(qkv[:, :heads], memory_format=torch.contiguous_format)
        for group in batch.groups[self.config.windows[self.layer]]:
            self._attend(qkv[group.tokens, :heads], attended[group.tokens], group, cache)
        return self.out(attended.view(-1, heads * width))

    def _attend(self, query: Tensor, out: Tensor, group: Group, cache: KVCache) -> None:
        """query and out [sequences * tokens, heads, head_dim]; heads that share a key head become rows of it."""
        kv_heads, width = self.config.num_kv_heads, self.config.head_dim
        by_key_head = (group.sequences, -1, kv_heads, self.config.num_heads // kv_heads, width)
        query, out = query.view(by_key_head), out.view(by_key_head)
        key, value = cache.read(self.layer, group.read_index, group.sequences)
        for tile in group.tiles:
            rows = query[:, tile.queries].transpose(1, 2)
            shape = rows.shape
            result = self.kernels.attention(
                rows.reshape(group.sequences, kv_heads, -1, width),
                key[:, :, tile.keys],
                value[:, :, tile.keys],
                tile.mask,
                width**-0.5,
            )
            out[:, tile.queries] = result.view(shape).transpose(1, 2)
