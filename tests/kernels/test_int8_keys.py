"""Keys and values of eight bits: the C++ kernels beside the plain twins, and against themselves bit by bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from portico.engine.plan import Row
from portico.kernels.attention import GatheredAttention, attention_torch, gather_torch, gather_words, write_index
from portico.kernels.context import Gathered
from portico.kernels.int8_keys import quantize_rows, row_width, widened
from portico.kernels.native import INSTRUCTION_SETS, NativeKernels, load_native
from portico.kernels.prepare import PrepareTorch, rotate_torch
from portico.run.gathered import GroupBuilder, grouped_order
from tests.kernels.test_native import SHAPES, Case, assert_close, random

DTYPES = [torch.float32, torch.bfloat16]
ROUNDING = {torch.float32: 1e-3, torch.bfloat16: 6e-3}
"""Relative to the largest value: queries and weights of 14 bits, and one rounding of the result."""


@pytest.fixture(params=INSTRUCTION_SETS)
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    if load_native(torch.float32, request.param) is None:
        pytest.skip(f"this machine has no {request.param}, or nothing was built")
    yield request.param
    assert any(load_native(torch.float32, best) for best in INSTRUCTION_SETS)


def native(dtype: torch.dtype) -> NativeKernels:
    kernels = load_native(dtype)
    assert kernels is not None
    return kernels


def as_native(pool: Tensor, head_dim: int) -> Tensor:
    """A pool [blocks, 2, kv_heads, block_size, width] of rows as the native kernels lay it out."""
    blocks, _, heads, size, _ = pool.shape
    scales = pool[..., -4:].reshape(blocks, 2, heads, size * 4)
    values = pool[..., :-4]
    keys = (values[:, 0].view(torch.uint8) ^ 128).view(torch.int8)
    keys = keys.reshape(blocks, heads, size, -1, 4).transpose(2, 3).reshape(blocks, heads, -1)
    words = values[:, 1, :, :, :head_dim].reshape(blocks, heads, size // 4, 4, head_dim).transpose(3, 4)
    filled = torch.zeros_like(keys)
    filled[..., : size * head_dim] = words.reshape(blocks, heads, -1)
    out = torch.cat((scales, torch.stack((keys, filled), dim=1)), dim=-1)
    return out.reshape(pool.shape).contiguous()


@dataclass
class Int8Case(Case):
    """The same sequences, their pool quantised."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rows = quantize_rows(self.pool.reshape(-1, self.head_dim)).view(*self.pool.shape[:-1], -1)
        self.pool = widened(self.rows.view(-1, self.rows.shape[-1]), self.head_dim, torch.float64).view(self.pool.shape)

    def attend(self, window: int | None, scale: float) -> Tensor:
        query, pool = self.qkv[:, : self.heads], as_native(self.rows, self.head_dim)
        return native(self.dtype).attend(query, pool, self.paged(), window, scale).view(query.shape)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dtype=st.sampled_from(DTYPES),
    lengths=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 90)), min_size=1, max_size=5)
    | st.integers(1, 70).map(lambda n: [(7 * i % 150, 1) for i in range(n)]),
    **SHAPES,
)
def test_attention(
    instruction_set: str,
    dtype: torch.dtype,
    kv_heads: int,
    shared: int,
    head_dim: int,
    block_size: int,
    lengths: list[tuple[int, int]],
    window: int | None,
) -> None:
    case = Int8Case(dtype, kv_heads * shared, kv_heads, head_dim, block_size, lengths)
    assert_close(case.attend(window, head_dim**-0.5), case.exact(window, head_dim**-0.5), ROUNDING[dtype])


def test_every_instruction_set_says_the_same() -> None:
    """All sums of products are exact; what floats between them round otherwise moves a weight by one step at most."""
    case = Int8Case(torch.float32, 6, 2, 80, 16, [(300, 5), (63, 2)])
    found = [case.attend(None, 0.1) for name in INSTRUCTION_SETS if load_native(torch.float32, name) is not None]
    assert found
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=1e-4)
    assert any(load_native(torch.float32, best) for best in INSTRUCTION_SETS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("window", [None, 37])
def test_the_plain_twin_says_the_same(dtype: torch.dtype, window: int | None) -> None:
    lengths = [(130, 1), (64, 7), (0, 30)]
    case = Int8Case(dtype, 6, 2, 30, 16, lengths)
    rows = [
        Row(i, [0] * count, start, table.tolist(), None)
        for i, (table, (start, count)) in enumerate(zip(case.tables, lengths, strict=True))
    ]
    assert grouped_order(rows) == [0, 1, 2]
    context = GroupBuilder([window], 3, 2, 16, dtype, torch.device("cpu")).build(rows, case.slots().numpy())
    for gather in (gather_torch, gather_words):
        got = GatheredAttention(attention_torch, gather)(case.qkv[:, :6], case.rows, context, window, 0.2)
        assert_close(got.view(-1, 6, 30), case.exact(window, 0.2), 2 * ROUNDING[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_hidden_keys_hold_does_not_matter(dtype: torch.dtype) -> None:
    case = Int8Case(dtype, 4, 2, 32, 16, [(5, 3), (70, 1)])
    before = case.attend(None, 0.2)
    for table, (start, count) in zip(case.tables, case.lengths, strict=True):
        case.rows[table[-1], :, :, (start + count - 1) % 16 + 1 :] = -1  # as a scale this is not a number
    assert torch.equal(case.attend(None, 0.2), before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("window", [None, 37, 3])
def test_attention_has_the_same_bits_in_any_company_and_chunking(
    instruction_set: str, dtype: torch.dtype, window: int | None
) -> None:
    case = Int8Case(dtype, 6, 2, 64, 16, [(0, 66), (130, 1), (64, 7), (1019, 9)])
    together = case.attend(window, 0.125)
    first = 0
    for number, (start, count) in enumerate(case.lengths):
        for at in range(count):
            one = Int8Case(dtype, 6, 2, 64, 16, [(start + at, 1)])
            one.rows, one.tables = case.rows, [case.tables[number]]
            one.qkv = case.qkv[first + at : first + at + 1]
            assert torch.equal(one.attend(window, 0.125)[0], together[first + at])
        first += count


def test_long_contexts_have_the_same_bits_on_any_number_of_threads(instruction_set: str) -> None:
    case = Int8Case(torch.bfloat16, 4, 2, 30, 16, [(1023, 1), (1024, 1), (2500, 2)])
    alone = case.attend(None, 0.2)
    assert_close(alone, case.exact(None, 0.2), ROUNDING[torch.bfloat16])
    kernels = native(torch.bfloat16)
    kernels.library.portico_set_threads(5)
    try:
        assert torch.equal(case.attend(None, 0.2), alone)
    finally:
        kernels.library.portico_set_threads(1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dtype=st.sampled_from(DTYPES),
    kv_heads=st.integers(1, 3),
    head_dim=st.sampled_from([2, 6, 16, 20, 30, 64, 128, 130]),
    block_size=st.sampled_from([16, 32]),
    lengths=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), min_size=1, max_size=3),
    power=st.sampled_from([0, -30, 20, -140]),
)
def test_what_is_stored_has_the_bits_of_the_twin(
    instruction_set: str,
    dtype: torch.dtype,
    kv_heads: int,
    head_dim: int,
    block_size: int,
    lengths: list[tuple[int, int]],
    power: int,
) -> None:
    case = Int8Case(dtype, 2 * kv_heads, kv_heads, head_dim, block_size, lengths)
    case.qkv *= 2.0**power
    case.qkv[0, -1] = 0
    angle = torch.rand(len(case.qkv), 1, head_dim // 2)
    angles = tuple(torch.cat(pair, -1).to(dtype) for pair in ((angle.cos(), angle.cos()), (-angle.sin(), angle.sin())))
    paged, pool = case.paged(), as_native(case.rows, head_dim)
    native(dtype).prepare(case.qkv, pool, None, (angles[0], angles[1]), paged)

    still = (torch.ones_like(angles[0]), torch.zeros_like(angles[1]))  # keys have been turned by now
    gathered = Gathered({}, torch.from_numpy(write_index(paged.slots.numpy(), kv_heads, block_size)))
    PrepareTorch(rotate_torch)(case.qkv, case.rows, None, still, gathered)
    assert torch.equal(pool, as_native(case.rows, head_dim))


@pytest.mark.parametrize("head_dim", [1, 4, 30, 128])
def test_rounding_loses_half_a_step_at_most(head_dim: int) -> None:
    x = random(50, head_dim, dtype=torch.float32) * torch.logspace(-20, 20, 50)[:, None]
    x[7] = 0
    rows = quantize_rows(x)
    assert rows.shape == (50, row_width(head_dim, torch.int8))
    off = (widened(rows, head_dim, torch.float64) - x).abs() / x.abs().amax(dim=1, keepdim=True).clamp(min=1e-30)
    assert float(off.max()) <= 0.5 / 127 + 1e-6
