"""What the attention of one step needs to know besides its queries: where each token's context lies in the pool.

A pool holds one layer's keys and values, [blocks, 2, kv_heads, block_size, head_dim]: those of a block side by side. In
eight bits the last dimension has room for a scale (`int8_keys`), so whatever copies a block copies its scales.
The heads stand outside the tokens, so that for every head a block is one contiguous matrix. The native kernels lay that
matrix out in their own way (`cpp/arguments.h`); so a pool belongs to the kernels that first write to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Paged:
    """For kernels that read the blocks where they are."""

    tables: Tensor
    """int32 [sequences, n]: the blocks of each sequence, in order; what lies past its length is not read."""
    starts: Tensor
    """int32 [sequences]: the position of its first token of this step."""
    tokens: Tensor
    """int32 [sequences + 1]: where its tokens begin in the batch, and the end of the last."""
    slots: Tensor
    """int64 [tokens]: block * block_size + offset, where the keys and values of each token go."""


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
    """From `read_index`."""
    tiles: Sequence[Tile]


@dataclass(frozen=True, slots=True)
class Gathered:
    """For kernels that want keys and values in contiguous memory: blocks are gathered group by group."""

    groups: Mapping[int | None, Sequence[Group]]
    """For each window among the model's layers; every list covers all tokens."""
    write_index: Tensor
    """From `write_index`."""


Context = Paged | Gathered
