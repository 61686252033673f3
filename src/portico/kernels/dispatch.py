"""The one table from device and dtype to implementations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from portico.errors import ConfigError
from portico.kernels import attention, elementwise, linear, prepare, sampling
from portico.kernels.context import Context
from portico.kernels.native import INSTRUCTION_SETS, load_native


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


def select_kernels(device: torch.device, dtype: torch.dtype, choice: str = "auto") -> Kernels:
    """The fastest path for this device and dtype.

    With choice "torch" the plain twins; with one of INSTRUCTION_SETS the native kernels for that, ConfigError if they
    cannot run here.
    """
    if choice in INSTRUCTION_SETS:
        native = _native(dtype, choice) if device.type == "cpu" else None
        if native is None:
            raise ConfigError(f"kernels is {choice}; those for {dtype} on {device} are not built, or do not run here.")
        return native
    if choice == "torch" or device.type != "cpu":
        return _TORCH
    return _native(dtype) or (_CPU_BF16 if dtype is torch.bfloat16 and linear.onednn_has_packed_bf16() else _CPU)


def _native(dtype: torch.dtype, instruction_set: str | None = None) -> Kernels | None:
    native = load_native(dtype, instruction_set)
    if native is None:
        return None
    return Kernels(
        name=f"native {native.instruction_set}",
        paged=True,
        linear=native.linear,
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

_CPU_BF16 = replace(_CPU, name="torch-cpu, onednn-bf16", linear=linear.linear_onednn)
"""The same for bfloat16 where oneDNN multiplies it natively."""
