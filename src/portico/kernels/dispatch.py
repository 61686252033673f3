"""The one table from device and dtype to implementations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from portico.errors import ConfigError
from portico.kernels import attention, elementwise, linear, prepare, quantized, sampling
from portico.kernels.context import Context
from portico.kernels.linear import Linear
from portico.kernels.native import INSTRUCTION_SETS, load_native

Quantization = Literal["none", "int8", "int4"]
"""How weights are kept: in the dtype of the computation, or in eight or four bits with scales."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """The implementations that a model runs on; what each takes and gives is said at its plain-torch twin."""

    name: str
    paged: bool
    """Whether `prepare` and `attend` want a `Paged` context; otherwise a `Gathered` one."""
    block_multiple: int
    """What the tokens in a block must be a multiple of."""
    use_threads: Callable[[int], None]
    """Compute with so many threads from now on."""
    linear: Callable[[Tensor, Tensor | None], Linear]
    head: Callable[[Tensor, Tensor | None], Linear]
    """The same for the product that gives the logits, on which four bits would tell most."""
    rms_norm: Callable[[Tensor, Tensor, float, Tensor | None], Tensor]
    silu_mul: Callable[[Tensor], Tensor]
    prepare: Callable[[Tensor, Tensor, prepare.HeadNorm | None, tuple[Tensor, Tensor], Context], None]
    attend: Callable[[Tensor, Tensor, Context, int | None, float, Tensor], None]
    draw: Callable[[Tensor, Tensor, Tensor, sampling.Filters], tuple[Tensor, Tensor]]
    top: Callable[[Tensor, int], tuple[Tensor, Tensor]]
    describe: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    mask: Callable[[Tensor, Tensor], None]


def select_kernels(
    device: torch.device, dtype: torch.dtype, choice: str = "auto", quantization: Quantization = "none"
) -> Kernels:
    """The fastest path for this device and dtype, with weights of so many bits.

    With choice "torch" the plain twins; with one of INSTRUCTION_SETS the native kernels for that. Raises ConfigError if
    what is asked for cannot run here.
    """
    kernels = _unquantized(device, dtype, choice)
    if quantization == "none":
        return kernels
    if choice == "torch":
        int8, int4 = quantized.linear_int8_torch, quantized.linear_int4_torch
    else:
        native = load_native(dtype, choice if choice in INSTRUCTION_SETS else None) if device.type == "cpu" else None
        if native is None:
            raise ConfigError(
                f"quantization is {quantization}, which needs the native kernels: they compute in float32 and bfloat16 "
                f"on CPUs. Here it would be {dtype} on {device}, or they were not built when Portico was installed."
            )
        int8, int4 = native.linear_int8, native.linear_int4
    return replace(
        kernels, name=f"{kernels.name}, {quantization}", linear=int8 if quantization == "int8" else int4, head=int8
    )


def _unquantized(device: torch.device, dtype: torch.dtype, choice: str) -> Kernels:
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
        block_multiple=16,
        use_threads=native.use_threads,
        linear=native.linear,
        head=native.linear,
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
    block_multiple=1,
    use_threads=torch.set_num_threads,
    linear=linear.linear_torch,
    head=linear.linear_torch,
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

_CPU_BF16 = replace(_CPU, name="torch-cpu, onednn-bf16", linear=linear.linear_onednn, head=linear.linear_onednn)
"""The same for bfloat16 where oneDNN multiplies it natively."""
