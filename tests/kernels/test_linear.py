"""Products with packed weights: against the plain twin, and bit by bit the same in every company."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CDLL, c_char_p
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from portico.kernels.linear import Linear, NotFiniteError, linear_torch
from portico.kernels.native import EMULATED, INSTRUCTION_SETS, NativeKernels, load_native
from portico.kernels.quantized import linear_int4_torch, linear_int8_torch, quantize_int4, rows_int8_torch

DTYPES = [torch.float32, torch.bfloat16]
IN_ANY_COMPANY = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
"""For one instruction set, which no example changes."""
ROUNDING = {torch.float32: 2e-6, torch.bfloat16: 4e-3}
"""Of the result, relative to the largest."""


@pytest.fixture(params=[*INSTRUCTION_SETS, EMULATED])
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    with using(request.param):
        yield request.param


@contextmanager
def using(name: str) -> Iterator[None]:
    if load_native(torch.float32, name) is None:
        pytest.skip(f"this machine has no {name}, or nothing was built")
    try:
        yield
    finally:
        assert any(load_native(torch.float32, best) for best in INSTRUCTION_SETS)


def native(dtype: torch.dtype) -> NativeKernels:
    kernels = load_native(dtype)
    assert kernels is not None
    return kernels


@contextmanager
def team_of(threads: int) -> Iterator[None]:
    kernels = native(torch.float32)
    kernels.library.portico_set_threads(threads)
    try:
        yield
    finally:
        kernels.library.portico_set_threads(1)


def random(*shape: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("inputs", [1, 2, 3, 16, 33, 250])
@pytest.mark.parametrize("outputs", [1, 15, 16, 32, 33, 200])
def test_products(instruction_set: str, dtype: torch.dtype, inputs: int, outputs: int) -> None:
    weight, bias = random(outputs, inputs, dtype=dtype), random(outputs, dtype=dtype, seed=1)
    for with_bias in (None, bias):
        product, plain = native(dtype).linear(weight, with_bias), linear_torch(weight.double(), None)
        for rows in (0, 1, 2, 5, 11, 12, 13, 24, 25, 37, 70):
            x = random(rows, inputs, dtype=dtype, seed=rows)
            exact = plain(x.double()) + (0 if with_bias is None else with_bias.double())
            got = product(x)
            assert got.shape == (rows, outputs)
            assert got.dtype == dtype
            if rows:
                assert float((got.double() - exact).abs().max()) <= ROUNDING[dtype] * float(exact.abs().max().clamp(1))


@IN_ANY_COMPANY
@given(
    dtype=st.sampled_from(DTYPES),
    inputs=st.integers(1, 300),
    outputs=st.integers(1, 150),
    rows=st.integers(1, 70),
    threads=st.integers(1, 3),
    seed=st.integers(0, 100),
)
def test_a_row_has_the_same_bits_in_any_company(
    instruction_set: str, dtype: torch.dtype, inputs: int, outputs: int, rows: int, threads: int, seed: int
) -> None:
    product = native(dtype).linear(random(outputs, inputs, dtype=dtype, seed=seed), None)
    x = random(rows, inputs, dtype=dtype, seed=seed + 1)
    with team_of(threads):
        together = product(x)
    for row in {0, rows // 2, rows - 1}:
        assert torch.equal(product(x[row : row + 1]), together[row : row + 1])
    half = rows // 2
    assert torch.equal(torch.cat((product(x[:half]), product(x[half:]))), together)


@pytest.mark.parametrize("dtype", DTYPES)
def test_many_rows_are_split_among_threads_without_a_trace(instruction_set: str, dtype: torch.dtype) -> None:
    product = native(dtype).linear(random(40, 64, dtype=dtype), None)
    x = random(600, 64, dtype=dtype, seed=1)
    with team_of(4):
        together = product(x)
    assert torch.equal(torch.cat([product(part) for part in x.split(7)]), together)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_may_be_slices_of_wider_ones(instruction_set: str, dtype: torch.dtype) -> None:
    product = native(dtype).linear(random(33, 50, dtype=dtype), None)
    wide = random(9, 80, dtype=dtype, seed=1)
    assert torch.equal(product(wide[:, 7:57]), product(wide[:, 7:57].contiguous()))
    across = random(50, 9, dtype=dtype, seed=2).T
    assert torch.equal(product(across), product(across.contiguous()))


FORMATS = ["int8", "int4"]


def quantized(dtype: torch.dtype, weight_format: str, weight: Tensor, bias: Tensor | None) -> tuple[Linear, Linear]:
    """The native layer and its twin."""
    if weight_format == "int8":
        return native(dtype).linear_int8(weight, bias), linear_int8_torch(weight, bias)
    return native(dtype).linear_int4(weight, bias), linear_int4_torch(weight, bias)


@pytest.mark.parametrize("weight_format", FORMATS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("inputs", [1, 3, 31, 32, 33, 128, 130, 400])
@pytest.mark.parametrize("outputs", [1, 16, 33, 100])
def test_products_with_few_bits(
    instruction_set: str, weight_format: str, dtype: torch.dtype, inputs: int, outputs: int
) -> None:
    weight, bias = random(outputs, inputs, dtype=dtype), random(outputs, dtype=dtype, seed=1)
    weight[0] = 0
    for with_bias in (None, bias):
        product, twin = quantized(dtype, weight_format, weight, with_bias)
        for rows in (0, 1, 2, 5, 12, 13, 25, 70):
            x = random(rows, inputs, dtype=dtype, seed=rows)
            got, plain = product(x), twin(x)
            assert got.shape == (rows, outputs)
            if rows:
                x[0] = 0
                assert float((product(x)[0] - (0 if with_bias is None else bias)).abs().max()) == 0
                # Where a value lies halfway between two steps, they may go different ways, which one output shows.
                off = (got.double() - plain.double()).abs() / plain.double().abs().max().clamp(1)
                assert float(off.max()) <= 0.05
                assert float((off > max(2 * ROUNDING[dtype], 1e-5)).double().mean()) <= 0.05


@IN_ANY_COMPANY
@given(
    weight_format=st.sampled_from(FORMATS),
    dtype=st.sampled_from(DTYPES),
    inputs=st.integers(1, 400),
    outputs=st.integers(1, 100),
    rows=st.integers(1, 70),
    seed=st.integers(0, 100),
)
def test_a_row_has_the_same_bits_in_any_company_with_few_bits(
    instruction_set: str, weight_format: str, dtype: torch.dtype, inputs: int, outputs: int, rows: int, seed: int
) -> None:
    product, _ = quantized(dtype, weight_format, random(outputs, inputs, dtype=dtype, seed=seed), None)
    x = random(rows, inputs, dtype=dtype, seed=seed + 1)
    together = product(x)
    for row in {0, rows // 2, rows - 1}:
        assert torch.equal(product(x[row : row + 1]), together[row : row + 1])


@pytest.mark.parametrize("weight_format", FORMATS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_with_few_bits_may_be_slices_of_wider_ones(
    instruction_set: str, weight_format: str, dtype: torch.dtype
) -> None:
    product, _ = quantized(dtype, weight_format, random(33, 150, dtype=dtype), None)
    wide = random(19, 180, dtype=dtype, seed=1)
    assert torch.equal(product(wide[:, 7:157]), product(wide[:, 7:157].contiguous()))


def test_tiles_are_taken_where_the_machine_has_them_and_emulated_ones_never(tmp_path: Path) -> None:
    flags = set(Path("/proc/cpuinfo").read_text().split())
    has_tiles = {"amx_tile", "amx_bf16", "amx_int8", "avx512_bf16", "avx512_vnni"} <= flags
    assert (load_native(torch.bfloat16, "amx") is not None) == has_tiles
    best = next(name for name in INSTRUCTION_SETS if load_native(torch.float32, name) is not None)
    assert (best == "amx") == has_tiles
    fresh = CDLL(shutil.copy(native(torch.float32).library._name, tmp_path))
    fresh.portico_instruction_set.restype = c_char_p
    assert fresh.portico_instruction_set().decode() == best


@pytest.mark.parametrize("weight_format", FORMATS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tiles", ["amx", EMULATED])
def test_few_bits_give_the_same_on_tiles_as_on_vectors(weight_format: str, dtype: torch.dtype, tiles: str) -> None:
    """Whole numbers are exact in both, and both scale and add them in the same order."""
    weight, bias = random(70, 700, dtype=dtype), random(70, dtype=dtype, seed=1)
    x = [random(rows, 700, dtype=dtype, seed=rows) for rows in (1, 7, 16, 17, 40, 600)]
    with using("avx512-bf16"):
        product, _ = quantized(dtype, weight_format, weight, bias)
        on_vectors = [product(part) for part in x]
    with using(tiles):
        assert all(map(torch.equal, map(product, x), on_vectors))  # the weight lies in both in the same way


@pytest.mark.parametrize("inputs", [2, 32, 40, 96])
def test_emulated_tiles_add_in_the_order_of_the_manual(inputs: int) -> None:
    """Of 32 inputs the even ones and the odd ones, each with one rounding a product, then both, then the sum so far."""
    weight, x = random(40, inputs, dtype=torch.bfloat16), random(20, inputs, dtype=torch.bfloat16, seed=1)
    bias = torch.zeros(40, dtype=torch.bfloat16)
    expected = torch.zeros(20, 40)
    for tile in range(0, inputs, 32):
        pair = [torch.zeros(20, 40), torch.zeros(20, 40)]
        for i in range(tile, min(tile + 32, inputs)):
            pair[i % 2] = (pair[i % 2].double() + torch.outer(x[:, i].double(), weight[:, i].double())).float()
        expected += pair[0] + pair[1]
    with using(EMULATED):
        assert torch.equal(native(torch.bfloat16).linear(weight, bias)(x), expected.bfloat16())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("inputs", [1, 31, 128, 130, 400])
@pytest.mark.parametrize("outputs", [1, 33, 100])
def test_rows_of_eight_bits(instruction_set: str, dtype: torch.dtype, inputs: int, outputs: int) -> None:
    weight, kept = random(outputs, inputs, dtype=dtype), native(dtype).weight_format("int8")
    assert kept.rows is not None
    rows, plain = kept.rows(kept.pack(weight), (outputs, inputs)), rows_int8_torch(weight)
    for ids in ([], [0], [outputs - 1], [*range(outputs), 0, 0]):
        got = rows(torch.tensor(ids, dtype=torch.int64))
        assert got.is_contiguous()
        assert got.dtype == dtype
        torch.testing.assert_close(got, plain(torch.tensor(ids, dtype=torch.int64)), rtol=ROUNDING[dtype], atol=0.0)
        assert got.shape == (len(ids), inputs)
        off = (got - weight[ids]).abs().max().item() if ids else 0.0
        assert off <= (0.51 / 127 + ROUNDING[dtype]) * float(weight.abs().max())


def test_four_bits_lose_no_more_than_those_of_llama_cpp() -> None:
    for power in (1, 3):
        weight = random(64, 512, dtype=torch.float32) ** power
        values, scales = quantize_int4(weight)
        error = (values * scales.unsqueeze(-1)).view_as(weight) - weight
        grouped = weight.view(64, -1, 32)
        extreme = grouped.gather(-1, grouped.abs().argmax(dim=-1, keepdim=True))
        scale = extreme / -8  # Q4_0: the value of the largest magnitude becomes -8
        theirs = ((grouped / scale + 8.5).floor().clamp(0, 15) - 8) * scale - grouped
        assert float(error.norm()) < 0.99 * float(theirs.norm())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["none", "int8", "int4"])
@pytest.mark.parametrize("inputs", [1, 31, 64, 130])
def test_packing_refuses_what_is_no_number(instruction_set: str, dtype: torch.dtype, name: str, inputs: int) -> None:
    kept, weight = native(dtype).weight_format(name), random(40, inputs, dtype=dtype)
    weight[7, 0] = torch.finfo(dtype).max
    weight[8, 0] = -torch.finfo(dtype).tiny / 4
    kept.pack(weight)
    for place in (0, inputs // 2, inputs - 1):
        for channel in (0, 33, 39):
            for value in (float("nan"), float("inf"), -float("inf")):
                damaged = weight.clone()
                damaged[channel, place] = value
                with pytest.raises(NotFiniteError):
                    kept.pack(damaged)
