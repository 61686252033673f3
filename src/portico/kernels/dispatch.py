"""The one table from device and dtype to implementations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from portico.kernels import attention, elementwise, linear


@dataclass(frozen=True, slots=True)
class Kernels:
    """The implementations that a model runs on; what each takes and gives is said at its plain-torch twin."""

    name: str
    linear: Callable[[Tensor, Tensor | None], linear.Linear]
    rms_norm: Callable[[Tensor, Tensor, float], Tensor]
    rotate: Callable[[Tensor, Tensor, Tensor], None]
    silu_mul: Callable[[Tensor], Tensor]
    attention: Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]
    gather: Callable[[Tensor, Tensor, Tensor], None]


def select_kernels(device: torch.device, dtype: torch.dtype, choice: Literal["auto", "torch"] = "auto") -> Kernels:
    """The fastest path for this device and dtype, or with choice "torch" the plain twins."""
    if choice == "torch" or device.type != "cpu":
        return _TORCH
    if dtype is torch.bfloat16 and linear.onednn_has_packed_bf16():
        return _CPU_BF16
    return _CPU


_TORCH = Kernels(
    name="torch",
    linear=linear.linear_torch,
    rms_norm=elementwise.rms_norm,
    rotate=elementwise.rotate_torch,
    silu_mul=elementwise.silu_mul_torch,
    attention=attention.attention_torch,
    gather=attention.gather_torch,
)

_CPU = Kernels(
    name="cpu",
    linear=linear.linear_torch,
    rms_norm=elementwise.rms_norm,
    rotate=elementwise.rotate_fused,
    silu_mul=elementwise.silu_mul_fused,
    attention=attention.attention_bmm,
    gather=attention.gather_words,
)

_CPU_BF16 = Kernels(
    name="cpu-onednn-bf16",
    linear=linear.linear_onednn,
    rms_norm=elementwise.rms_norm,
    rotate=elementwise.rotate_fused,
    silu_mul=elementwise.silu_mul_fused,
    attention=attention.attention_bmm,
    gather=attention.gather_words,
)
