"""Memory of the CPU for what is large and read again and again."""

from __future__ import annotations

import contextlib
import math
import mmap

import torch
from torch import Tensor

HUGE = 2**21
"""Bytes of a huge page."""


def large_zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Zeros whose memory the system hands out at first touch, where it can; in huge pages where there are any.

    A small page more is an address more to look up, and where one ends the processor stops reading ahead.
    """
    size = math.prod(shape) * dtype.itemsize
    if size < HUGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.zeros(shape, dtype=dtype)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype).view(shape)
