"""Between the product of q, k and v and attention: normalise and rotate queries and keys, store keys and values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from portico.kernels.context import Context, Gathered
from portico.kernels.elementwise import rms_norm
from portico.kernels.int8_keys import quantize_rows

Rotate = Callable[[Tensor, Tensor, Tensor], None]


@dataclass(frozen=True, slots=True)
class HeadNorm:
    """Weights of the normalisation of each query and key head."""

    weight: Tensor
    """[heads + kv_heads, head_dim]"""
    eps: float


@dataclass(frozen=True, slots=True)
class PrepareTorch:
    """The three operations one after another."""

    rotate: Rotate

    def __call__(
        self, qkv: Tensor, pool: Tensor, norm: HeadNorm | None, angles: tuple[Tensor, Tensor], context: Context
    ) -> None:
        """qkv [tokens, heads + 2 * kv_heads, head_dim] is changed in place, pool written at the context's slots."""
        assert isinstance(context, Gathered)
        kv_heads, width = pool.shape[2], qkv.shape[2]
        turned = qkv[:, :-kv_heads]
        if norm is not None:
            turned.copy_(rms_norm(turned, norm.weight, norm.eps))
        self.rotate(turned, *angles)
        key_value = qkv[:, -2 * kv_heads :].reshape(-1, width)
        rows = quantize_rows(key_value) if pool.dtype is torch.int8 else key_value
        pool.view(-1, pool.shape[4]).index_copy_(0, context.write_index, rows)


def rotate_torch(x: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Turn each pair (x[i], x[i + half]) of x [tokens, heads, head_dim] by its angle, in place.

    `cos` and `sin` are [tokens, 1, head_dim], each half a copy of the other, the first half of `sin` negated.
    Source: Su et al. 2021, arXiv:2104.09864, in the half-split layout of Hugging Face checkpoints.
    """
    first, second = x.chunk(2, dim=-1)
    x.copy_(x * cos + torch.cat((second, first), dim=-1) * sin)


def rotate_fused(x: Tensor, cos: Tensor, sin: Tensor) -> None:
    """The same in three passes."""
    swapped = x.roll(x.shape[-1] // 2, dims=-1)
    x.mul_(cos).addcmul_(swapped, sin)
