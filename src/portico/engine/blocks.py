"""The pool of KV blocks: reference counts, and an index by content through which requests share prefixes.

A block is free (nobody refers to it) or used. A free block may still hold keys and values that a later request can
take over: it waits in least-recently-used order and is overwritten only when no blank block is left.

The index is a trie. Each registered block gets a node number that is never used again, and is found by the pair (node
of the block before it, its token ids). Equal pairs mean equal content: nothing is hashed away, so two different
prompts cannot be confused, by accident or on purpose (compare CVE-2025-25183).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

ROOT = 0
"""The node before the first block of any sequence."""

Key = tuple[int, tuple[int, ...], str]
"""Of a block: the node before it, its tokens and, of a first one, the salt of those who may find it."""


class BlockPool:
    """Blocks 1 … num_blocks of `block_size` tokens each; block 0 belongs to the runner, as padding."""

    def __init__(self, num_blocks: int, block_size: int) -> None:
        self.num_blocks = num_blocks
        self.block_size = block_size
        self._references = [0] * (num_blocks + 1)
        self._blank = list(range(num_blocks, 0, -1))
        self._reusable: OrderedDict[int, None] = OrderedDict()
        self._index: dict[Key, int] = {}
        self._keys: dict[int, Key] = {}
        self._nodes: dict[int, int] = {}
        self._next_node = ROOT + 1

    @property
    def num_free(self) -> int:
        """Blocks that `allocate` can hand out."""
        return len(self._blank) + len(self._reusable)

    @property
    def num_used(self) -> int:
        """Blocks that somebody refers to."""
        return self.num_blocks - self.num_free

    def blocks_for(self, tokens: int) -> int:
        """How many blocks hold that many tokens."""
        return -(-tokens // self.block_size)

    def allocate(self) -> int:
        """Hand out a free block, owned by the caller until `release`; the caller has looked at `num_free`."""
        if self._blank:
            block = self._blank.pop()
        else:
            block, _ = self._reusable.popitem(last=False)
            self._forget(block)
        self._references[block] = 1
        return block

    def acquire(self, blocks: Sequence[int]) -> None:
        """Add the caller as an owner of blocks that `match` found."""
        for block in blocks:
            if self._references[block] == 0:
                del self._reusable[block]
            self._references[block] += 1

    def is_shared(self, block: int) -> bool:
        """Whether more than one refers to a block, so that none of them may write to it."""
        return self._references[block] > 1

    def release(self, blocks: Sequence[int]) -> None:
        """Give up one sequence's blocks, in its order; its tail is forgotten first, since only heads are shared."""
        for block in reversed(blocks):
            self._references[block] -= 1
            if self._references[block] > 0:
                continue
            if block in self._keys:
                self._reusable[block] = None
            else:
                self._blank.append(block)

    def match(self, token_ids: Sequence[int], salt: str = "") -> list[int]:
        """The longest run of full blocks that already holds the head of `token_ids`; not yet owned by the caller.

        What was registered with another `salt` is not found.
        """
        blocks: list[int] = []
        node = ROOT
        for start in range(0, len(token_ids) - self.block_size + 1, self.block_size):
            block = self._index.get(_key(node, token_ids[start : start + self.block_size], salt))
            if block is None:
                break
            blocks.append(block)
            node = self._nodes[block]
        return blocks

    def count_free(self, blocks: Sequence[int]) -> int:
        """How many of these nobody refers to: `acquire` takes them away from `num_free`."""
        return sum(self._references[block] == 0 for block in blocks)

    def node_of(self, block: int) -> int:
        """The trie node of a registered block."""
        return self._nodes[block]

    def register(self, block: int, parent: int, token_ids: Sequence[int], salt: str = "") -> int:
        """Make a full, computed block findable after node `parent`; returns the node to register the next one under.

        When another sequence has registered the same content first, its block stays the one that is found.
        """
        key = _key(parent, token_ids, salt)
        known = self._index.get(key)
        if known is not None:
            return self._nodes[known]
        node = self._next_node
        self._next_node += 1
        self._index[key] = block
        self._keys[block] = key
        self._nodes[block] = node
        return node

    def check(self, owned: Sequence[Sequence[int]]) -> None:
        """Raise AssertionError unless the pool's books agree with the block tables of all living sequences."""
        counts = [0] * (self.num_blocks + 1)
        for blocks in owned:
            for block in blocks:
                counts[block] += 1
        if counts != self._references:
            wrong = [b for b, n in enumerate(counts) if n != self._references[b]]
            raise AssertionError(f"blocks {wrong[:8]}: owners and reference counts differ")
        free = sorted([*self._blank, *self._reusable])
        if free != [b for b in range(1, self.num_blocks + 1) if counts[b] == 0]:
            raise AssertionError("the free lists are not the blocks without owner")
        if any(self._index[key] != block for block, key in self._keys.items()) or len(self._index) != len(self._keys):
            raise AssertionError("the prefix index and the blocks' keys differ")

    def _forget(self, block: int) -> None:
        del self._index[self._keys.pop(block)]
        del self._nodes[block]


def _key(parent: int, token_ids: Sequence[int], salt: str) -> Key:
    return parent, tuple(token_ids), salt if parent == ROOT else ""
