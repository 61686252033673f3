"""The C++ kernels on random shapes, measured from float64 beside the plain twins, and against themselves bit by bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from portico.kernels import elementwise, prepare, sampling
from portico.kernels.attention import write_index
from portico.kernels.context import Gathered, Paged
from portico.kernels.native import NativeKernels, load_native
from portico.kernels.prepare import HeadNorm

DTYPES = [torch.float32, torch.bfloat16]
ROUNDING = {torch.float32: 2e-6, torch.bfloat16: 6e-3}
"""Relative to the largest value: what one rounding of the result, and of the weights of attention, may cost."""


def native(dtype: torch.dtype) -> NativeKernels:
    kernels = load_native(dtype)
    if kernels is None:
        pytest.skip("the native kernels were not built here")
    return kernels


def random(*shape: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def assert_close(got: Tensor, exact: Tensor, tolerance: float) -> None:
    assert not got.isnan().any()
    assert float((got.double() - exact).abs().max()) <= tolerance * max(1.0, float(exact.abs().max()))


def as_native(pool: Tensor) -> Tensor:
    """A pool [blocks, 2, kv_heads, block_size, head_dim] as the native kernels lay it out."""
    depth = 4 // pool.element_size()
    blocks, _, heads, size, width = pool.shape
    keys = pool[:, 0].reshape(blocks, heads, size, width // depth, depth).transpose(2, 3)
    values = pool[:, 1].reshape(blocks, heads, size // depth, depth, width).transpose(3, 4)
    return torch.stack((keys.reshape(pool[:, 0].shape), values.reshape(pool[:, 1].shape)), dim=1)


def from_native(pool: Tensor) -> Tensor:
    """The other way round."""
    depth = 4 // pool.element_size()
    blocks, _, heads, size, width = pool.shape
    keys = pool[:, 0].reshape(blocks, heads, width // depth, size, depth).transpose(2, 3)
    values = pool[:, 1].reshape(blocks, heads, size // depth, width, depth).transpose(3, 4)
    return torch.stack((keys.reshape(pool[:, 0].shape), values.reshape(pool[:, 1].shape)), dim=1)


@dataclass
class Case:
    """Sequences over a pool, some with more context than others."""

    dtype: torch.dtype
    heads: int
    kv_heads: int
    head_dim: int
    block_size: int
    lengths: list[tuple[int, int]]
    """Of each sequence: tokens before this step, and tokens of it."""

    def __post_init__(self) -> None:
        needed = [-(-(start + count) // self.block_size) for start, count in self.lengths]
        order = torch.randperm(sum(needed), generator=torch.Generator().manual_seed(3)) + 1
        self.pool = random(sum(needed) + 1, 2, self.kv_heads, self.block_size, self.head_dim, dtype=self.dtype)
        self.tables = [part.int() for part in order.split(needed)]
        tokens = sum(count for _, count in self.lengths)
        self.qkv = random(tokens, self.heads + 2 * self.kv_heads, self.head_dim, dtype=self.dtype, seed=1)

    def paged(self) -> Paged:
        width = max(map(len, self.tables))
        # What lies past a sequence's blocks must not be read: no pool has such a block.
        tables = torch.stack([torch.nn.functional.pad(t, (0, width - len(t)), value=2**20) for t in self.tables])
        counts = torch.tensor([0, *(count for _, count in self.lengths)])
        starts = torch.tensor([start for start, _ in self.lengths])
        return Paged(tables, starts.int(), counts.cumsum(0).int(), self.slots())

    def slots(self) -> Tensor:
        parts = []
        for table, (start, count) in zip(self.tables, self.lengths, strict=True):
            at = torch.arange(start, start + count)
            parts.append(table[at // self.block_size].long() * self.block_size + at % self.block_size)
        return torch.cat(parts)

    def exact(self, window: int | None, scale: float) -> Tensor:
        """Attention by its definition, in float64."""
        out, first = [], 0
        for table, (start, count) in zip(self.tables, self.lengths, strict=True):
            query = self.qkv[first : first + count, : self.heads].double().transpose(0, 1)
            context = self.pool[table].double().permute(1, 2, 0, 3, 4).flatten(2, 3)[:, :, : start + count]
            key, value = context.repeat_interleave(self.heads // self.kv_heads, dim=1)
            at, keys = torch.arange(start, start + count)[:, None], torch.arange(start + count)[None]
            hidden = (keys > at) | (keys <= at - (window or 2**30))
            scores = (query @ key.transpose(1, 2) * scale).masked_fill(hidden, -torch.inf)
            out.append((scores.softmax(-1) @ value).transpose(0, 1))
            first += count
        return torch.cat(out)

    def attend(self, window: int | None, scale: float) -> Tensor:
        query = self.qkv[:, : self.heads]
        out = native(self.dtype).attend(query, as_native(self.pool), self.paged(), window, scale)
        return out.view(query.shape)


SHAPES: dict[str, st.SearchStrategy[Any]] = {
    "kv_heads": st.integers(1, 3),
    "shared": st.integers(1, 7),
    "head_dim": st.sampled_from([2, 6, 16, 30, 32, 64, 80, 128]),
    "block_size": st.sampled_from([16, 32, 48]),
    "window": st.none() | st.integers(1, 150),
}
"""Of what attends, whatever the form of keys and values; `shared` are the query heads of a key head."""


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    **SHAPES,
    lengths=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 90)), min_size=1, max_size=5),
)
def test_attention(
    dtype: torch.dtype,
    kv_heads: int,
    shared: int,
    head_dim: int,
    block_size: int,
    lengths: list[tuple[int, int]],
    window: int | None,
) -> None:
    case = Case(dtype, kv_heads * shared, kv_heads, head_dim, block_size, lengths)
    assert_close(case.attend(window, head_dim**-0.5), case.exact(window, head_dim**-0.5), ROUNDING[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_hidden_keys_hold_does_not_matter(dtype: torch.dtype) -> None:
    case = Case(dtype, 4, 2, 32, 16, [(5, 3), (70, 1)])
    before = case.attend(None, 0.2)
    for table, (start, count) in zip(case.tables, case.lengths, strict=True):
        case.pool[table[-1], :, :, (start + count - 1) % 16 + 1 :] = torch.nan
    assert torch.equal(case.attend(None, 0.2), before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("window", [None, 37, 3])
def test_attention_has_the_same_bits_in_any_company_and_chunking(dtype: torch.dtype, window: int | None) -> None:
    case = Case(dtype, 6, 2, 64, 16, [(0, 300), (130, 1), (64, 7), (1019, 9)])
    together = case.attend(window, 0.125)
    first = 0
    for number, (start, count) in enumerate(case.lengths):
        for at in range(count):
            one = Case(dtype, 6, 2, 64, 16, [(start + at, 1)])
            one.pool, one.tables = case.pool, [case.tables[number]]
            one.qkv = case.qkv[first + at : first + at + 1]
            assert torch.equal(one.attend(window, 0.125)[0], together[first + at])
        first += count


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("window", [None, 1500])
@pytest.mark.parametrize("lengths", [[(3000, 1)], [(1022, 1), (1023, 1), (1024, 1), (2500, 3)], [(900, 300)]])
def test_long_contexts_have_the_same_bits_on_any_number_of_threads(
    dtype: torch.dtype, window: int | None, lengths: list[tuple[int, int]]
) -> None:
    case = Case(dtype, 4, 2, 32, 16, lengths)
    alone = case.attend(window, 0.2)
    assert_close(alone, case.exact(window, 0.2), ROUNDING[dtype])
    kernels = native(dtype)
    kernels.library.portico_set_threads(5)
    try:
        assert torch.equal(case.attend(window, 0.2), alone)
    finally:
        kernels.library.portico_set_threads(1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_scores_do_not_overflow(dtype: torch.dtype) -> None:
    case = Case(dtype, 2, 1, 16, 16, [(0, 80)])
    case.qkv *= 40
    # Scores in the thousands, rounded to float32, are known to some 1e-3.
    assert_close(case.attend(None, 3.0), case.exact(None, 3.0), max(ROUNDING[dtype] * 2, 1e-3))


@settings(max_examples=40, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    heads=st.tuples(st.integers(1, 5), st.integers(1, 3)),
    head_dim=st.sampled_from([2, 16, 20, 64, 128]),
    block_size=st.sampled_from([16, 32]),
    lengths=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), min_size=1, max_size=3),
    with_norm=st.booleans(),
)
def test_prepare(
    dtype: torch.dtype,
    heads: tuple[int, int],
    head_dim: int,
    block_size: int,
    lengths: list[tuple[int, int]],
    with_norm: bool,
) -> None:
    shared, kv_heads = heads
    case = Case(dtype, shared * kv_heads, kv_heads, head_dim, block_size, lengths)
    norm = HeadNorm(random((shared + 1) * kv_heads, head_dim, dtype=dtype, seed=5), 1e-6) if with_norm else None
    angle = torch.rand(len(case.qkv), 1, head_dim // 2)
    angles = tuple(torch.cat(pair, -1).to(dtype) for pair in ((angle.cos(), angle.cos()), (-angle.sin(), angle.sin())))
    paged = case.paged()

    wide_norm = None if norm is None else HeadNorm(norm.weight.double(), norm.eps)
    exact_qkv, exact_pool = case.qkv.double(), case.pool.double()
    gathered = Gathered({}, torch.from_numpy(write_index(paged.slots.numpy(), kv_heads, block_size)))
    wide_angles = (angles[0].double(), angles[1].double())
    prepare.PrepareTorch(prepare.rotate_torch)(exact_qkv, exact_pool, wide_norm, wide_angles, gathered)
    pool = as_native(case.pool)
    native(dtype).prepare(case.qkv, pool, norm, (angles[0], angles[1]), paged)

    # Normalised heads are rounded before and after their weight, as in transformers.
    assert_close(case.qkv[:, :-kv_heads], exact_qkv[:, :-kv_heads], ROUNDING[dtype] * 2)
    assert torch.equal(case.qkv[:, -kv_heads:].double(), exact_qkv[:, -kv_heads:])
    assert_close(from_native(pool), exact_pool, ROUNDING[dtype] * 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "width"), [(0, 8), (1, 1), (1, 16), (3, 50), (70, 1024)])
def test_rms_norm(dtype: torch.dtype, rows: int, width: int) -> None:
    x, weight = random(rows, width, dtype=dtype), random(width, dtype=dtype, seed=1)
    exact = elementwise.rms_norm(x.double(), weight.double(), 1e-6)
    got = native(dtype).rms_norm(x, weight, 1e-6)
    assert got.shape == x.shape
    if rows:
        assert_close(got, exact, ROUNDING[dtype] * 2)
    added = random(rows, width, dtype=dtype, seed=2)
    twin = x.clone()
    exact = elementwise.rms_norm(twin, weight, 1e-6, added)
    got = native(dtype).rms_norm(x, weight, 1e-6, added)
    assert torch.equal(x, twin)
    if rows:
        assert_close(got, exact.double(), ROUNDING[dtype] * 4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "width"), [(0, 8), (1, 1), (2, 16), (3, 50), (70, 96)])
def test_gate(dtype: torch.dtype, rows: int, width: int) -> None:
    x = random(rows, 2 * width, dtype=dtype) * 8
    if rows:
        x[0, 0] = -200.0  # exp overflows in float32
        x[-1, 0] = 200.0
    got = native(dtype).silu_mul(x)
    assert got.shape == (rows, width)
    if rows:
        assert_close(got, elementwise.silu_mul_torch(x.double()), ROUNDING[dtype])


VOCABULARIES = [1, 15, 16, 17, 63, 65, 1000, 1024, 1025, 5000]


def no_filters(rows: int) -> sampling.Filters:
    return sampling.Filters(torch.zeros(rows, dtype=torch.int64), torch.ones(rows), torch.zeros(rows))


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    rows=st.integers(1, 4),
    vocab=st.sampled_from(VOCABULARIES),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([1.0, 0.3, 40.0]),
    hidden=st.booleans(),
)
def test_draws(dtype: torch.dtype, rows: int, vocab: int, seed: int, scale: float, hidden: bool) -> None:
    logits = random(rows, vocab, dtype=dtype, seed=seed) * 4
    if hidden:  # as a mask leaves them
        logits[:, 1::2] = -torch.inf
    uniforms = torch.rand(rows, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    tokens = native(dtype).draw(logits, torch.full((rows,), scale), uniforms, no_filters(rows)).tokens
    probabilities = torch.softmax(logits.double() * scale, dim=-1)
    for row, token in enumerate(tokens.tolist()):
        below = float(probabilities[row, :token].sum())
        assert below - 1e-5 <= float(uniforms[row]) <= below + float(probabilities[row, token]) + 1e-5
        assert probabilities[row, token] > 0


@settings(max_examples=200, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    vocab=st.sampled_from(VOCABULARIES),
    seed=st.integers(0, 1000),
    scale=st.sampled_from([1.0, 0.3, 40.0]),
    spread=st.sampled_from([0.0, 0.01, 1.0, 6.0]),
    hidden=st.booleans(),
    top_k=st.sampled_from([0, 1, 2, 40, 999, 10_000]),
    top_p=st.sampled_from([1.0, 0.99, 0.9, 0.3, 0.001, 1e-45, 0.0]),
    min_p=st.sampled_from([0.0, 1e-6, 0.05, 0.7, 1.0]),
)
def test_draws_from_what_filters_leave(
    dtype: torch.dtype,
    vocab: int,
    seed: int,
    scale: float,
    spread: float,
    hidden: bool,
    top_k: int,
    top_p: float,
    min_p: float,
) -> None:
    logits = random(1, vocab, dtype=dtype, seed=seed) * spread
    if hidden:
        logits[:, 1::2] = -torch.inf
    uniforms = torch.rand(1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    filters = sampling.Filters(torch.tensor([top_k]), torch.tensor([top_p]), torch.tensor([min_p]))
    scales = torch.tensor([scale])
    drawn = native(dtype).draw(logits, scales, uniforms, filters)
    tokens, floors = drawn.tokens, drawn.floors
    plain = sampling.draw_torch(logits, scales, uniforms, filters).floors
    wide = logits.float()[0]
    got, want = wide >= floors, wide >= plain
    # The same tokens but for one value at the border, where the sums' last bits decide.
    weights = torch.exp((wide - wide.max()).double() * scale)
    assert wide[got ^ want].unique().numel() <= 1
    assert float((weights[got].sum() - weights[want].sum()).abs()) <= 1e-5 * float(weights.sum()) or top_p < 1
    kept = torch.where(got, weights, 0.0) / weights[got].sum()
    token = int(tokens)
    below = float(kept[:token].sum())
    assert kept[token] > 0
    assert below - 1e-5 <= float(uniforms) <= below + float(kept[token]) + 1e-5


@pytest.mark.parametrize("strange", [torch.nan, torch.inf])
@pytest.mark.parametrize(("top_k", "top_p"), [(0, 0.5), (40, 0.5), (0, 0.0)])
def test_drawing_ends_whatever_the_logits_are(strange: float, top_k: int, top_p: float) -> None:
    for places in (slice(None), slice(0, None, 2), slice(7, 8), slice(-1, None)):
        logits = random(1, 1000, dtype=torch.float32)
        logits[:, places] = strange
        filters = sampling.Filters(torch.tensor([top_k]), torch.tensor([top_p]), torch.tensor([0.0]))
        drawn = native(torch.float32).draw(logits, torch.ones(1), torch.full((1,), 0.5, dtype=torch.float64), filters)
        assert 0 <= int(drawn.tokens) < 1000


@pytest.mark.parametrize("at", [0.0, 1.0 - 2**-53])
@pytest.mark.parametrize("top_k", [0, 2])
def test_the_ends_of_the_distribution_have_weight(at: float, top_k: int) -> None:
    logits = torch.full((1, 3000), -torch.inf)
    logits[0, [7, 2001]] = torch.tensor([0.0, -3.0])
    filters = sampling.Filters(torch.tensor([top_k]), torch.ones(1), torch.zeros(1))
    at_end = torch.tensor([at], dtype=torch.float64)
    tokens = native(torch.float32).draw(logits, torch.ones(1), at_end, filters).tokens
    assert tokens.tolist() == [7 if at == 0 else 2001]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("vocab", VOCABULARIES)
def test_descriptions(dtype: torch.dtype, vocab: int) -> None:
    logits = random(3, vocab, dtype=dtype, seed=vocab) * 4
    tokens = torch.tensor([0, vocab // 2, vocab - 1])
    for count in (0, 1, vocab // 2, vocab):
        found, plain = native(dtype).describe(logits, tokens, count), sampling.describe_torch(logits, tokens, count)
        torch.testing.assert_close(found.totals, plain.totals)
        assert torch.equal(found.ranks, plain.ranks)
        assert torch.equal(found.values, plain.values)
        assert torch.equal(found.ids, plain.ids)


@pytest.mark.parametrize("vocab", [*VOCABULARIES, 33])
def test_masks(vocab: int) -> None:
    logits = random(3, vocab, dtype=torch.float32, seed=vocab)
    generator = torch.Generator().manual_seed(vocab)
    bits = torch.randint(-(2**31), 2**31, (3, -(-vocab // 32)), generator=generator).to(torch.int32)
    nothing, zeros = torch.empty(0, dtype=torch.int64), torch.zeros(4, dtype=torch.int64)
    changes = sampling.Changes(
        bits=bits,
        bits_of=torch.tensor([2, -1, 0]),
        biased=nothing,
        biases=torch.empty(0),
        biased_begins=zeros,
        tokens=nothing,
        begins=zeros,
        outputs=zeros[:3],
        repetition=torch.ones(3),
        presence=torch.zeros(3),
        frequency=torch.zeros(3),
    )
    changed = native(torch.float32).change(logits, changes)
    assert torch.equal(changed, sampling.change_torch(logits, changes))
    for row, mask in ((0, 2), (2, 0)):
        kept = torch.tensor([bool(int(bits[mask, i // 32]) >> i % 32 & 1) for i in range(vocab)])
        assert torch.equal(changed[row] > -torch.inf, kept)
    assert torch.equal(changed[1], logits[1])


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(DTYPES),
    vocab=st.sampled_from([1, 16, 63, 64, 65, 1000, 5000]),
    share=st.floats(0, 1),
    seed=st.integers(0, 1000),
    distinct=st.sampled_from([1, 3, 10_000]),
)
def test_the_largest(dtype: torch.dtype, vocab: int, share: float, seed: int, distinct: int) -> None:
    count = int(share * vocab)
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randint(0, distinct, (2, vocab), generator=generator).to(dtype)
    values, ids = native(dtype).top(logits, count)
    plain_values, plain_ids = sampling.top_torch(logits, count)
    assert torch.equal(values, plain_values)
    assert torch.equal(ids, plain_ids)
