"""Products with weights of eight or four bits, in plain torch."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from portico.kernels.linear import Linear, Rows

INT8_GROUP, INT4_GROUP = 128, 32
"""Inputs of a channel that share a scale; of a row of activations, which become eight bits, it is always 128."""


def linear_int8_torch(weight: Tensor, bias: Tensor | None) -> Linear:
    """The linear layer with weight [out, in] in eight bits, a scale for 128 inputs of a channel, and bias [out]."""
    values, scales = quantize_int8(weight)
    return partial(_linear_quantized, values, scales, bias, INT8_GROUP)


def rows_int8_torch(weight: Tensor) -> Rows:
    """The rows of a weight [out, in] in eight bits, in its dtype."""
    values, scales = quantize_int8(weight)
    return partial(_rows, values, scales, weight.shape[1], weight.dtype)


def _rows(values: Tensor, scales: Tensor, width: int, dtype: torch.dtype, ids: Tensor) -> Tensor:
    rows = (values[ids] * scales[ids].unsqueeze(-1)).flatten(1)
    return rows[:, :width].to(dtype).contiguous()


def linear_int4_torch(weight: Tensor, bias: Tensor | None) -> Linear:
    """The linear layer with weight [out, in] in four bits, a scale for 32 inputs of a channel, and bias [out]."""
    values, scales = quantize_int4(weight)
    return partial(_linear_quantized, values, scales, bias, INT4_GROUP)


def _linear_quantized(values: Tensor, scales: Tensor, bias: Tensor | None, group: int, x: Tensor) -> Tensor:
    """x [tokens, in] becomes eight bits itself; products within a group are exact, groups are added in float32."""
    blocks, input_scales = quantize_int8(x)
    inputs = blocks.view(len(x), blocks.shape[1] * INT8_GROUP // group, group)
    out = torch.zeros(len(x), len(values), device=x.device)
    for i in range(scales.shape[1]):
        exact = inputs[:, i].double() @ values[:, i].double().T
        block = i * group // INT8_GROUP
        out += exact.float() * (input_scales[:, block : block + 1] * scales[:, i])
    return (out if bias is None else out + bias.float()).to(x.dtype)


def quantize_int8(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [n, m] as int8 [n, groups, 128] and float32 scales [n, groups]; the last group is filled up with zeros."""
    grouped = _grouped(rows, INT8_GROUP)
    scales = grouped.abs().amax(dim=-1) / 127
    inverse = torch.where(scales > 0, 1 / scales, 0.0)
    return torch.round(grouped * inverse.unsqueeze(-1)).to(torch.int8), scales


def quantize_int4(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [n, m] as values of -8 to 7, int8 [n, groups, 32], and float32 scales [n, groups] that bfloat16 can hold.

    Of nine scales that make the extreme of a group -8 to -6 the one with the least squared error is taken; the first is
    the one that llama.cpp takes for Q4_0.
    """
    grouped = _grouped(rows, INT4_GROUP)
    most, least = grouped.amax(dim=-1), grouped.amin(dim=-1)
    extreme = torch.where(most > -least, most, least)
    best, best_loss = torch.zeros_like(extreme), torch.full_like(extreme, torch.inf)
    for steps in range(9):
        scales = (extreme / (-8.0 + 0.25 * steps)).bfloat16().float()
        loss = (grouped - _int4_values(grouped, scales) * scales.unsqueeze(-1)).square().sum(dim=-1)
        better = (loss < best_loss) & (scales != 0)
        best, best_loss = torch.where(better, scales, best), torch.where(better, loss, best_loss)
    return _int4_values(grouped, best).to(torch.int8), best


def _int4_values(grouped: Tensor, scales: Tensor) -> Tensor:
    inverse = torch.where(scales != 0, 1 / scales, 0.0)
    return torch.round((grouped * inverse.unsqueeze(-1)).clamp(-8, 7))


def _grouped(rows: Tensor, group: int) -> Tensor:
    filled = torch.nn.functional.pad(rows.float(), (0, -rows.shape[1] % group))
    return filled.view(len(rows), filled.shape[1] // group, group)
