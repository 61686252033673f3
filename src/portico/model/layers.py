"""The parts of a decoder layer: attention over the paged cache, and the gated feed-forward."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from portico.kernels.context import Context
from portico.kernels.dispatch import Kernels
from portico.kernels.linear import Linear
from portico.kernels.prepare import HeadNorm
from portico.model.cache import KVCache
from portico.model.config import ModelConfig


@dataclass(frozen=True, slots=True)
class RMSNorm:
    """Root mean square normalisation with a learnt weight."""

    weight: Tensor
    eps: float
    kernels: Kernels

    def __call__(self, x: Tensor, added: Tensor | None) -> Tensor:
        """Of x with what is `added`, which stays in x."""
        return self.kernels.rms_norm(x, self.weight, self.eps, added)


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
    qk_norm: HeadNorm | None
    kernels: Kernels

    def __call__(self, x: Tensor, angles: tuple[Tensor, Tensor], context: Context, cache: KVCache) -> Tensor:
        """x [tokens, hidden] -> [tokens, hidden]; writes the tokens' keys and values to the cache first."""
        c, pool = self.config, cache.pools[self.layer]
        qkv = self.qkv(x).view(-1, c.num_heads + 2 * c.num_kv_heads, c.head_dim)
        self.kernels.prepare(qkv, pool, self.qk_norm, angles, context)
        window, scale = c.windows[self.layer], c.head_dim**-0.5
        return self.out(self.kernels.attend(qkv[:, : c.num_heads], pool, context, window, scale))
