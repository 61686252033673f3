"""What this machine can do at most: bytes read and multiplications done in a second, measured now, on these threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Limits:
    """Measured ceilings of the machine."""

    read_bytes: float
    """Bytes a second."""
    bf16_flops: float
    """Floating-point operations a second in large bf16 products."""


def measure(threads: int) -> Limits:
    """Best of several short runs on so many threads, as a ceiling should be."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    data = torch.ones(64 * 2**20, dtype=torch.float32)
    read = data.nbytes / _best(lambda: data.sum(), 8)
    a, b = torch.randn(1024, 4096).bfloat16(), torch.randn(4096, 4096).bfloat16()
    flops = 2 * 1024 * 4096 * 4096 / _best(lambda: torch.nn.functional.linear(a, b), 8)
    torch.set_num_threads(before)
    return Limits(read, flops)


def _best(run: Callable[[], object], times: int) -> float:
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best
