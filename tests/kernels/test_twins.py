"""Every fast path against its plain-torch twin on random inputs, both measured from float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from portico.errors import ConfigError
from portico.kernels import attention, dispatch, elementwise, linear, prepare
from portico.kernels.dispatch import select_kernels

CPU = torch.device("cpu")
DTYPES = [torch.float32, torch.bfloat16]


def random(*shape: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def assert_as_exact(fast: Tensor, plain: Tensor, exact: Tensor, *, slack: float = 1.5) -> None:
    """The fast path errs no more than the plain one does, give or take."""
    errors = [float((got.double() - exact).square().mean().sqrt()) for got in (fast, plain)]
    assert errors[0] <= slack * errors[1] + 1e-6


@pytest.mark.parametrize("tokens", [0, 1, 7, 300])
@pytest.mark.parametrize("with_bias", [False, True])
def test_packed_linear(tokens: int, with_bias: bool) -> None:
    if not linear.onednn_has_packed_bf16():
        pytest.skip("no native bfloat16 here")
    dtype = torch.bfloat16
    x, weight = random(tokens, 96, dtype=dtype), random(160, 96, dtype=dtype, seed=1)
    bias = random(160, dtype=dtype, seed=2) if with_bias else None
    exact = torch.nn.functional.linear(x.double(), weight.double(), None if bias is None else bias.double())
    with torch.inference_mode():
        fast, plain = linear.linear_onednn(weight, bias)(x), linear.linear_torch(weight, bias)(x)
    assert fast.shape == (tokens, 160)
    if tokens:
        assert_as_exact(fast, plain, exact)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("batch", "rows", "keys", "seen"), [(1, 12, 30, 30), (5, 2, 40, 23), (3, 1, 1, 1)])
def test_attention(dtype: torch.dtype, batch: int, rows: int, keys: int, seen: int) -> None:
    query, key, value = (random(batch, 2, n, 16, dtype=dtype, seed=n) for n in (rows, keys, keys))
    mask = torch.zeros(batch, 2, rows, keys, dtype=dtype)
    mask[..., seen:] = -torch.inf
    wide = (query.double(), key.double(), value.double(), mask.double())
    scores = wide[0] @ wide[1].transpose(2, 3) * 0.25 + wide[3]
    exact = scores.softmax(-1) @ wide[2]
    arguments = (query, key, value, mask, 0.25)
    # The fast path rounds scores to the dtype, as eager attention does.
    assert_as_exact(attention.attention_bmm(*arguments), attention.attention_torch(*arguments), exact, slack=2.5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rotation(dtype: torch.dtype) -> None:
    x, angle = random(9, 3, 16, dtype=dtype), torch.rand(9, 1, 8)
    cos, sin = (torch.cat(pair, -1).to(dtype) for pair in ((angle.cos(),) * 2, (-angle.sin(), angle.sin())))

    def rotated(rotate: Callable[[Tensor, Tensor, Tensor], None], *values: Tensor) -> Tensor:
        out = values[0].clone()
        rotate(out, *values[1:])
        return out

    exact = rotated(prepare.rotate_torch, x.double(), cos.double(), sin.double())
    assert torch.allclose(exact.norm(dim=-1), x.double().norm(dim=-1), rtol=1e-2)
    assert_as_exact(rotated(prepare.rotate_fused, x, cos, sin), rotated(prepare.rotate_torch, x, cos, sin), exact)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gate(dtype: torch.dtype) -> None:
    x = random(9, 32, dtype=dtype)
    exact = elementwise.silu_mul_torch(x.double())
    assert_as_exact(elementwise.silu_mul_fused(x), elementwise.silu_mul_torch(x), exact)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 6, 64])
def test_gather(dtype: torch.dtype, width: int) -> None:
    pool, index = random(20, width, dtype=dtype), torch.tensor([3, 3, 19, 0])
    out = torch.empty(4, width, dtype=dtype)
    attention.gather_words(pool, index, out)
    assert torch.equal(out, pool[index])


def test_the_table_gives_the_twins_when_asked() -> None:
    assert select_kernels(CPU, torch.bfloat16, "torch").name == "torch"
    assert select_kernels(torch.device("cuda"), torch.bfloat16).name == "torch"
    assert not select_kernels(CPU, torch.float32, "torch").paged
    assert select_kernels(CPU, torch.float16).name == "torch-cpu"


def test_without_the_library_bfloat16_goes_to_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "load_native", lambda *_: None)
    packed = select_kernels(CPU, torch.bfloat16).name == "torch-cpu, onednn-bf16"
    assert packed == linear.onednn_has_packed_bf16()
    assert select_kernels(CPU, torch.float32).name == "torch-cpu"
    with pytest.raises(ConfigError, match="avx2"):
        select_kernels(CPU, torch.float32, "avx2")
