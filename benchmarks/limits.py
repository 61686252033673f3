"""What this machine can do at most in a second: bytes read, multiplications done, measured now on so many threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from ctypes import c_int64
from dataclasses import dataclass

import torch

from portico.kernels.native import load_native

AS_IS, INT8 = 0, 1
"""Formats of weights, as `portico_peak` counts them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Measured ceilings of the machine."""

    read_bytes: float
    """Bytes a second."""
    bf16_flops: float
    """Operations a second of the instructions that products of bfloat16 are made of, with all they need at hand."""
    int8_ops: float
    """The same for bytes."""


def measure(threads: int) -> Limits:
    """Best of several short runs on so many threads, as a ceiling should be."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    data = torch.ones(64 * 2**20, dtype=torch.float32)
    read = data.nbytes / _best(lambda: data.sum(), 8)
    torch.set_num_threads(before)
    return Limits(read, _peak(threads, AS_IS), _peak(threads, INT8))


def _peak(threads: int, form: int) -> float:
    native = load_native(torch.bfloat16)
    assert native is not None, "the native kernels were not built"
    native.library.portico_set_threads(threads)
    peak = native.library.portico_peak
    peak.restype = c_int64
    operations = peak(form, native.dtype)
    return operations / _best(lambda: peak(form, native.dtype), 20)


def _best(run: Callable[[], object], times: int) -> float:
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best
