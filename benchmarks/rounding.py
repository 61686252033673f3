"""Weights rounded to formats of few bits and back: Portico's own, and those that llama.cpp's files have."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from portico.kernels.quantized import quantize_int4, quantize_int8

Rounding = Callable[[Tensor], Tensor]
"""A matrix [out, in] to what it is after quantising and back, in float32."""


def int8(matrix: Tensor) -> Tensor:
    """Portico's eight bits."""
    return _back(*quantize_int8(matrix), matrix)


def int4(matrix: Tensor) -> Tensor:
    """Portico's four bits."""
    return _back(*quantize_int4(matrix), matrix)


def q8_0(matrix: Tensor) -> Tensor:
    """GGML's Q8_0: 32 bytes and a float16 scale that makes the largest magnitude 127."""
    blocks = _blocks(matrix)
    scales = blocks.abs().amax(dim=-1, keepdim=True) / 127
    scaled = blocks / torch.where(scales > 0, scales, 1.0)
    values = scaled.sign() * (scaled.abs() + 0.5).floor()  # halves away from zero, as roundf
    return (values * scales.half().float()).view_as(matrix)


def q4_0(matrix: Tensor) -> Tensor:
    """GGML's Q4_0: 32 half bytes and a float16 scale that makes the value of the largest magnitude -8."""
    blocks = _blocks(matrix)
    scales = blocks.gather(-1, blocks.abs().argmax(dim=-1, keepdim=True)) / -8
    values = (blocks / torch.where(scales != 0, scales, 1.0) + 8.5).floor().clamp(0, 15) - 8
    return (values * scales.half().float()).view_as(matrix)


def rounded_checkpoint(source: Path, folder: Path, body: Rounding, tables: Rounding) -> float:
    """Copy a checkpoint of one file, its matrices rounded: embedding and head one way, all others the other.

    Returns how far all matrices together are off, relative to their norm.
    """
    for file in source.iterdir():
        if file.suffix in (".json", ".jinja"):
            shutil.copy(file, folder)
    tensors = load_file(source / "model.safetensors")
    off = whole = 0.0
    for name, tensor in tensors.items():
        if tensor.dim() == 2:
            rounding = tables if name.endswith(("embed_tokens.weight", "lm_head.weight")) else body
            tensors[name] = rounding(tensor.float()).to(tensor.dtype)
            off += float((tensors[name] - tensor).square().sum())
            whole += float(tensor.square().sum())
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return (off / whole) ** 0.5


def _blocks(matrix: Tensor) -> Tensor:
    return matrix.float().view(len(matrix), -1, 32)


def _back(values: Tensor, scales: Tensor, matrix: Tensor) -> Tensor:
    return (values * scales.unsqueeze(-1)).flatten(1)[:, : matrix.shape[1]].contiguous()
