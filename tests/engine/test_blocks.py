"""The block pool: ownership, sharing, what is found again and what is forgotten first."""

from __future__ import annotations

import pytest

from portico.engine.blocks import ROOT, BlockPool


def filled(pool: BlockPool, tokens: list[int]) -> list[int]:
    """Blocks holding `tokens`, owned and registered."""
    blocks, node = [], ROOT
    for start in range(0, len(tokens), pool.block_size):
        blocks.append(pool.allocate())
        node = pool.register(blocks[-1], node, tokens[start : start + pool.block_size])
    return blocks


def test_block_zero_is_never_handed_out() -> None:
    pool = BlockPool(4, 2)
    assert sorted(pool.allocate() for _ in range(4)) == [1, 2, 3, 4]
    assert pool.num_free == 0


def test_match_finds_the_longest_known_head() -> None:
    pool = BlockPool(8, 2)
    blocks = filled(pool, [1, 2, 3, 4, 5, 6])
    assert pool.match([1, 2, 3, 4, 9, 9]) == blocks[:2]
    assert pool.match([1, 2, 3, 4, 5, 6, 7]) == blocks
    assert pool.match([3, 4]) == []  # the same tokens elsewhere in a sequence are not the same keys and values
    assert pool.match([1]) == []


def test_released_blocks_are_found_until_overwritten_oldest_tail_first() -> None:
    pool = BlockPool(4, 2)
    first = filled(pool, [1, 2, 3, 4])
    second = filled(pool, [5, 6, 7, 8])
    pool.release(first)
    pool.release(second)
    pool.allocate()
    assert pool.match([1, 2, 3, 4]) == first[:1]
    pool.allocate()
    assert pool.match([1, 2, 3, 4]) == []
    assert pool.match([5, 6, 7, 8]) == second
    pool.check([[first[1]], [first[0]]])


def test_shared_blocks_stay_until_the_last_owner_leaves() -> None:
    pool = BlockPool(4, 2)
    blocks = filled(pool, [1, 2])
    pool.acquire(blocks)
    pool.release(blocks)
    assert pool.num_used == 1
    pool.release(blocks)
    assert pool.num_used == 0
    assert pool.count_free(blocks) == 1


def test_equal_content_keeps_the_first_block() -> None:
    pool = BlockPool(4, 2)
    first = filled(pool, [1, 2, 3, 4])
    twin = filled(pool, [1, 2, 3, 4])
    assert pool.match([1, 2, 3, 4]) == first
    pool.release(twin)
    assert pool.match([1, 2, 3, 4]) == first
    pool.check([first])


def test_check_notices_a_lost_block() -> None:
    pool = BlockPool(4, 2)
    pool.allocate()
    with pytest.raises(AssertionError, match="owners"):
        pool.check([])


def test_a_salt_keeps_prefixes_apart() -> None:
    pool = BlockPool(8, 2)
    blocks = {}
    for salt in ("", "mine", "yours"):
        node = ROOT
        blocks[salt] = [pool.allocate(), pool.allocate()]
        for block, tokens in zip(blocks[salt], ([1, 2], [3, 4]), strict=True):
            node = pool.register(block, node, tokens, salt)
    for salt, own in blocks.items():
        assert pool.match([1, 2, 3, 4, 5], salt) == own
    assert pool.match([1, 2, 3, 4], "other") == []
