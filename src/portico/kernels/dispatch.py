"""The one table from device and dtype to implementations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from portico.kernels import attention, elementwise, linear, prepare, sampling
from portico.kernels.context import Context
from portico.kernels.native import load_native


@dataclass(frozen=True, slots=True)
class Kernels:
    """The implementations that a model runs on; what each takes and gives is said at its plain-torch twin."""

    name: str
    paged: bool
    """Whether `prepare` and `attend` want a `Paged` context; otherwise a `Gathered` one."""
    linear: Callable[[Tensor, Tensor | None], linear.Linear]
    rms_norm: Callable[[Tensor, Tensor, float], Tensor]
    silu_mul: Callable[[Tensor], Tensor]
    prepare: Callable[[Tensor, Tensor, prepare.HeadNorm | None, tuple[Tensor, Tensor], Context], None]
    attend: Callable[[Tensor, Tensor, Context, int | None, float, Tensor], None]
    draw: Callable[[Tensor, Tensor, Tensor, sampling.Filters], tuple[Tensor, Tensor]]
    top: Callable[[Tensor, int], tuple[Tensor, Tensor]]
    describe: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    mask: Callable[[Tensor, Tensor], None]


def select_kernels(device: torch.device, dtype: torch.dtype, choice: Literal["auto", "torch"] = "auto") -> Kernels:
    """The fastest path for this device and dtype, or with choice "torch" the plain twins."""
    if choice == "torch" or device.type != "cpu":
        return _TORCH
    kernels = _native(dtype) or _CPU
    if dtype is torch.bfloat16 and linear.onednn_has_packed_bf16():
        return replace(kernels, name=f"{kernels.name}, onednn-bf16", linear=linear.linear_onednn)
    return kernels


def _native(dtype: torch.dtype) -> Kernels | None:
    native = load_native(dtype)
    if native is None:
        return None
    return Kernels(
        name=f"native {native.instruction_set}",
        paged=True,
        linear=linear.linear_torch,
        rms_norm=native.rms_norm,
        silu_mul=native.silu_mul,
        prepare=native.prepare,
        attend=native.attend,
        draw=native.draw,
        top=native.top,
        describe=native.describe,
        mask=native.mask,
    )


_TORCH = Kernels(
    name="torch",
    paged=False,
    linear=linear.linear_torch,
    rms_norm=elementwise.rms_norm,
    silu_mul=elementwise.silu_mul_torch,
    prepare=prepare.PrepareTorch(prepare.rotate_torch),
    attend=attention.GatheredAttention(attention.attention_torch, attention.gather_torch),
    draw=sampling.draw_torch,
    top=sampling.top_torch,
    describe=sampling.describe_torch,
    mask=sampling.mask_torch,
)

_CPU = replace(
    _TORCH,
    name="torch-cpu",
    silu_mul=elementwise.silu_mul_fused,
    prepare=prepare.PrepareTorch(prepare.rotate_fused),
    attend=attention.GatheredAttention(attention.attention_bmm, attention.gather_words),
)
"""What is faster on CPUs than the twins, of torch alone."""
