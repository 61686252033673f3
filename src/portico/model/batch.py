"""What one run of the model computes, as tensors; made by `portico.run.batch`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Tile:
    """Queries of one group and the keys that they may see."""

    queries: slice
    """Among the group's tokens of one sequence."""
    keys: slice
    """Among the gathered positions of one sequence."""
    mask: Tensor
    """Additive, [sequences, kv_heads, queries * query heads a key head, keys], in the model's dtype."""


@dataclass(frozen=True, slots=True)
class Group:
    """Sequences of equally many new tokens that attend together: a bucket of decodes, or one chunk of a prompt."""

    tokens: slice
    """Of the batch: sequence after sequence."""
    sequences: int
    read_index: Tensor
    """From `KVCache.read_index`."""
    tiles: Sequence[Tile]


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokens of all rows of a step, one after another, and where their context lies."""

    token_ids: Tensor
    """int64 [tokens]"""
    positions: Tensor
    """int64 [tokens]"""
    write_index: Tensor
    """From `KVCache.write_index`."""
    groups: Mapping[int | None, Sequence[Group]]
    """For each window among the model's layers; every list covers all tokens."""
    draws: Tensor
    """int64 [rows that draw]: the tokens whose logits are wanted."""
