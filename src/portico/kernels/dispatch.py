"""The one table from device and dtype to implementations."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from portico.errors import ConfigError
from portico.kernels import attention, elementwise, linear, prepare, quantized, sampling
from portico.kernels.context import Context
from portico.kernels.linear import WeightFormat, plain_format
from portico.kernels.native import INSTRUCTION_SETS, NativeKernels, load_native
from portico.kernels.tape import Tape

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
    linear: WeightFormat
    head: WeightFormat
    """The same for the product that gives the logits, on which four bits would tell most, and for the embedding."""
    rms_norm: Callable[[Tensor, Tensor, float, Tensor | None], Tensor]
    silu_mul: Callable[[Tensor], Tensor]
    prepare: Callable[[Tensor, Tensor, prepare.HeadNorm | None, tuple[Tensor, Tensor], Context], None]
    attend: Callable[[Tensor, Tensor, Context, int | None, float], Tensor]
    draw: Callable[[Tensor, Tensor, Tensor, sampling.Filters], tuple[Tensor, Tensor]]
    top: Callable[[Tensor, int], tuple[Tensor, Tensor]]
    describe: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    widen: Callable[[Tensor], Tensor]
    mask: Callable[[Tensor, Tensor], None]
    penalize: Callable[[Tensor, sampling.Penalties], None]
    record: Callable[[], AbstractContextManager[Callable[[], Tape]]] | None = None
    """Note down the calls of a step, which the tape that comes of it makes again; None where there is no such thing."""
    packing: tuple[str, str] | None = None
    """Instruction set and build that packed weights are for, where it pays to keep them from one start to the next."""


def select_kernels(
    device: torch.device, dtype: torch.dtype, choice: str = "auto", quantization: Quantization = "none"
) -> Kernels:
    """The fastest path for this device and dtype, with weights of so many bits.

    With choice "torch" the plain twins; with one of INSTRUCTION_SETS the native kernels for that. Raises ConfigError if
    what is asked for cannot run here.
    """
    native = None
    if device.type == "cpu" and choice != "torch":
        native = load_native(dtype, choice if choice in INSTRUCTION_SETS else None)
    if choice in INSTRUCTION_SETS and native is None:
        raise ConfigError(f"kernels is {choice}; those for {dtype} on {device} are not built, or do not run here.")
    if quantization == "none":
        return _plain(device, dtype, choice) if native is None else _native(native)
    if native is not None:
        few_bits = replace(
            _native(native),
            linear=native.weight_format(quantization),
            head=native.weight_format("int8"),
            packing=(native.instruction_set, native.build),
        )
    elif choice == "torch":
        few_bits = replace(_TORCH, linear=_TWINS[quantization], head=_TWINS["int8"])
    else:
        raise ConfigError(
            f"quantization is {quantization}, which needs the native kernels: they compute in float32 and bfloat16 "
            f"on CPUs. Here it would be {dtype} on {device}, or they were not built when Portico was installed."
        )
    return replace(few_bits, name=f"{few_bits.name}, {quantization}")


def can_quantize(device: torch.device, dtype: torch.dtype, choice: str) -> bool:
    """Whether `select_kernels` has a fast path for weights of few bits here."""
    return device.type == "cpu" and choice != "torch" and load_native(dtype) is not None


def _plain(device: torch.device, dtype: torch.dtype, choice: str) -> Kernels:
    if choice == "torch" or device.type != "cpu":
        return _TORCH
    return _CPU_BF16 if dtype is torch.bfloat16 and linear.onednn_has_packed_bf16() else _CPU


def _native(native: NativeKernels) -> Kernels:
    return Kernels(
        name=f"native {native.instruction_set}",
        paged=True,
        block_multiple=16,
        use_threads=native.use_threads,
        linear=native.weight_format("none"),
        head=native.weight_format("none"),
        rms_norm=native.rms_norm,
        silu_mul=native.silu_mul,
        prepare=native.prepare,
        attend=native.attend,
        draw=native.draw,
        top=native.top,
        describe=native.describe,
        widen=native.widen,
        mask=native.mask,
        penalize=native.penalize,
        record=native.record,
    )


_TORCH = Kernels(
    name="torch",
    paged=False,
    block_multiple=1,
    use_threads=torch.set_num_threads,
    linear=plain_format(linear.linear_torch),
    head=plain_format(linear.linear_torch),
    rms_norm=elementwise.rms_norm,
    silu_mul=elementwise.silu_mul_torch,
    prepare=prepare.PrepareTorch(prepare.rotate_torch),
    attend=attention.GatheredAttention(attention.attention_torch, attention.gather_torch),
    draw=sampling.draw_torch,
    top=sampling.top_torch,
    describe=sampling.describe_torch,
    widen=sampling.widen_torch,
    mask=sampling.mask_torch,
    penalize=sampling.penalize_torch,
)

_CPU = replace(
    _TORCH,
    name="torch-cpu",
    silu_mul=elementwise.silu_mul_fused,
    prepare=prepare.PrepareTorch(prepare.rotate_fused),
    attend=attention.GatheredAttention(attention.attention_bmm, attention.gather_words),
)
"""What is faster on CPUs than the twins, of torch alone."""

_ONEDNN = plain_format(linear.linear_onednn)
_CPU_BF16 = replace(_CPU, name="torch-cpu, onednn-bf16", linear=_ONEDNN, head=_ONEDNN)
"""The same for bfloat16 where oneDNN multiplies it natively."""

_TWINS: dict[Quantization, WeightFormat] = {
    "int8": replace(
        plain_format(quantized.linear_int8_torch), rows=lambda weight, _: quantized.rows_int8_torch(weight)
    ),
    "int4": plain_format(quantized.linear_int4_torch),
}
"""Weights of few bits in plain torch."""
