"""Normalisation and gate, in plain torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def rms_norm(x: Tensor, weight: Tensor, eps: float, added: Tensor | None = None) -> Tensor:
    """After adding to x in place what is `added`: x over the root of its mean square along the last axis, times weight.

    In float32 up to the weight, which broadcasts against x: [hidden], or [heads, head_dim] where heads have their own.
    Source: Zhang and Sennrich 2019, arXiv:1910.07467.
    """
    if added is not None:
        x += added
    wide = x.float()
    scale: Tensor = torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)
    return (wide * scale).to(x.dtype) * weight


def silu_mul_torch(gate_up: Tensor) -> Tensor:
    """silu(gate) * up of [tokens, 2 * width], gate first. Source: Shazeer 2020, arXiv:2002.05202."""
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate) * up


def silu_mul_fused(gate_up: Tensor) -> Tensor:
    """The same without a second temporary."""
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate).mul_(up)
