"""Keys and values of eight bits with a scale for each, in plain torch.

A row of a pool is then the bytes of one key or value, filled up to whole words, and its float32 scale.
"""

from __future__ import annotations

import torch
from torch import Tensor

_WORD = 4
"""Bytes that the native kernels multiply at once; a scale takes as many."""


def row_width(head_dim: int, dtype: torch.dtype) -> int:
    """Elements of a pool's row for a head in the dtype of a pool."""
    return head_dim if dtype is not torch.int8 else -(-head_dim // _WORD) * _WORD + _WORD


def quantize_rows(rows: Tensor) -> Tensor:
    """Rows [n, head_dim] as rows of a pool, int8 [n, width]: the extreme of each becomes 127."""
    wide = rows.float()
    scales = wide.abs().amax(dim=-1, keepdim=True) / 127
    values = torch.round(wide / torch.where(scales > 0, scales, 1.0)).clamp(-127, 127).to(torch.int8)
    out = values.new_zeros(len(rows), row_width(rows.shape[1], torch.int8))
    out[:, : rows.shape[1]] = values
    out[:, -_WORD:] = scales.view(torch.int8)
    return out


def widened(rows: Tensor, head_dim: int, dtype: torch.dtype) -> Tensor:
    """What rows of a pool [n, width] stand for: [n, head_dim]."""
    scales = rows[:, -_WORD:].contiguous().view(torch.float32)
    return (rows[:, :head_dim] * scales).to(dtype)
