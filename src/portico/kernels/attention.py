"""Attention over gathered keys and values, and the gather itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def attention_torch(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float) -> Tensor:
    """softmax(query key^T scale + mask) value, for [batch, kv_heads, rows, head_dim] each, to the shape of query.

    Query heads that share a key head are rows of it, so keys and values are never repeated. `mask` is additive,
    [batch, kv_heads, rows, keys], and leaves every row at least one key.
    """
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)


def attention_bmm(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float) -> Tensor:
    """The same as two batched products: on CPUs three times as fast in bfloat16 as the fused one, which is not blocked.

    The scores are rounded to the tensors' dtype once, after scale and mask, as in the eager attention of transformers.
    """
    batch, heads, rows, width = query.shape
    flat = (batch * heads, -1, width)
    query, key, value = query.reshape(flat), key.reshape(flat), value.reshape(flat)
    scores = torch.baddbmm(mask.reshape(batch * heads, rows, -1), query, key.transpose(1, 2), alpha=scale)
    return torch.bmm(torch.softmax(scores, dim=-1, out=scores), value).view(batch, heads, rows, width)


def gather_torch(pool: Tensor, index: Tensor, out: Tensor) -> None:
    """out[i] = pool[index[i]], rows of [rows, width]."""
    torch.index_select(pool, 0, index, out=out)


def gather_words(pool: Tensor, index: Tensor, out: Tensor) -> None:
    """The same in 8-byte words where rows divide into them: index_select copies element by element."""
    if pool.shape[-1] * pool.element_size() % 8 == 0:
        pool, out = pool.view(torch.int64), out.view(torch.int64)
    torch.index_select(pool, 0, index, out=out)
