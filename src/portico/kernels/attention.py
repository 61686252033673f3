"""Attention over the paged cache in plain torch: blocks are gathered, then groups of sequences attend together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from portico.kernels.context import Context, Gathered, Group
from portico.kernels.int8_keys import widened

Product = Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]
Gather = Callable[[Tensor, Tensor, Tensor], None]


@dataclass(frozen=True, slots=True)
class GatheredAttention:
    """Attention of a step, put together from a product over contiguous keys and values, and a gather."""

    product: Product
    gather: Gather

    def __call__(self, query: Tensor, pool: Tensor, context: Context, window: int | None, scale: float) -> Tensor:
        """query [tokens, heads, head_dim] -> [tokens, heads * head_dim]"""
        assert isinstance(context, Gathered)
        out = query.new_empty(query.shape)
        for group in context.groups[window]:
            self._attend(query[group.tokens], pool, group, scale, out[group.tokens])
        return out.view(len(out), -1)

    def _attend(self, query: Tensor, pool: Tensor, group: Group, scale: float, out: Tensor) -> None:
        """query and out [sequences * tokens, heads, head_dim]; heads that share a key head become rows of it."""
        kv_heads, width = pool.shape[2], query.shape[2]
        by_key_head = (group.sequences, -1, kv_heads, query.shape[1] // kv_heads, width)
        query, out = query.view(by_key_head), out.view(by_key_head)
        key, value = self._read(pool, group, width, query.dtype)
        for tile in group.tiles:
            rows = query[:, tile.queries].transpose(1, 2)
            shape = rows.shape
            result = self.product(
                rows.reshape(group.sequences, kv_heads, -1, width),
                key[:, :, tile.keys],
                value[:, :, tile.keys],
                tile.mask,
                scale,
            )
            out[:, tile.queries] = result.view(shape).transpose(1, 2)

    def _read(self, pool: Tensor, group: Group, width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Keys and values of a group, [sequences, kv_heads, tokens, head_dim] each."""
        rows = pool.view(-1, pool.shape[3] * pool.shape[4])
        out = rows.new_empty(len(group.read_index), rows.shape[1])
        self.gather(rows, group.read_index, out)
        if pool.dtype is torch.int8:
            out = widened(out.view(-1, pool.shape[4]), width, dtype)
        key, value = out.view(2, group.sequences, pool.shape[2], -1, width)
        return key, value


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


def write_index(slots: np.ndarray, kv_heads: int, block_size: int) -> np.ndarray:
    """Rows of a pool [.., head_dim] for tokens at `slots` [tokens], in the order [tokens, 2, kv_heads]."""
    blocks, offsets = slots // block_size, slots % block_size
    heads = blocks[:, None] * (2 * kv_heads) + np.arange(2 * kv_heads)
    rows: np.ndarray = heads * block_size + offsets[:, None]
    return rows.reshape(-1)


def read_index(tables: np.ndarray, kv_heads: int) -> np.ndarray:
    """Rows of a pool [.., block_size * head_dim] for tables [sequences, n], ordered [2, sequences, kv_heads, n]."""
    sides = np.arange(2 * kv_heads).reshape(2, 1, kv_heads, 1)
    return (tables[None, :, None, :] * (2 * kv_heads) + sides).reshape(-1)
