"""How fast products with packed weights are, for the shapes of Qwen3-0.6B: each kind in turns, and the machine's limit.

Weights are as cold as in a step of the model: every kind goes around copies that together exceed any cache.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle

import torch
from torch import Tensor

from benchmarks.limits import Limits, measure
from portico.kernels import linear
from portico.kernels.linear import Linear
from portico.kernels.native import NativeKernels, load_native

SHAPES = {
    "qkv": (4096, 1024),
    "out": (1024, 2048),
    "gate_up": (6144, 1024),
    "down": (1024, 3072),
    "head": (151936, 1024),
}
"""Outputs and inputs of each weight."""
ROWS = (1, 2, 4, 8, 16, 32, 64, 256, 1024)
COLD_BYTES = 96 * 2**20
SECONDS = 0.4
"""For each kind at each shape and number of rows."""

Make = Callable[[Tensor, Tensor | None], Linear]


def kinds(native: NativeKernels, dtype: torch.dtype) -> dict[str, Make]:
    """What is compared: what torch offers, then Portico's own."""
    packed = dtype is torch.bfloat16 and linear.onednn_has_packed_bf16()
    found: dict[str, Make] = {"onednn": linear.linear_onednn} if packed else {"torch": linear.linear_torch}
    return found | {"native": native.linear, "int8": native.linear_int8, "int4": native.linear_int4}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rows", nargs="+", type=int, default=list(ROWS))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    dtype = getattr(torch, args.dtype)
    native = load_native(dtype)
    assert native is not None, "the native kernels were not built"
    native.library.portico_set_threads(args.threads)  # torch keeps as many, for what it is compared by
    limits = measure()
    print(f"{limits.read_bytes / 1e9:.0f} GB/s, {limits.bf16_flops / 1e9:.0f} bf16 Gflop/s, {args.threads} threads")
    makers = kinds(native, dtype)
    print(f"{'us':8} rows       limit" + "".join(f"{name:>14}" for name in makers) + "   first / others")
    with torch.inference_mode():
        for shape in args.shapes:
            for line in table(shape, args.rows, makers, dtype, limits):
                print(line, flush=True)


def table(
    shape: str, rows: Sequence[int], makers: dict[str, Make], dtype: torch.dtype, limits: Limits
) -> Iterator[str]:
    """The lines of one shape, in microseconds; the limit is that of weights in the dtype."""
    weight = torch.randn(SHAPES[shape]).to(dtype)
    copies = -(-COLD_BYTES // weight.nbytes)
    layers = {name: cycle([make(weight, None) for _ in range(copies)]) for name, make in makers.items()}
    for count in rows:
        times = compare(layers, torch.randn(count, weight.shape[1]).to(dtype))
        first, *others = times.values()
        flops = limits.bf16_flops / (2 if dtype is torch.float32 else 1)
        floor = max(weight.nbytes / limits.read_bytes, 2 * count * weight.numel() / flops)
        columns = "".join(f"{seconds * 1e6:14.1f}" for seconds in times.values())
        ratios = "".join(f"{first / other:7.2f}" for other in others)
        yield f"{shape:8}{count:5}{floor * 1e6:12.1f}{columns}{ratios}"


def compare(layers: dict[str, Iterator[Linear]], x: Tensor) -> dict[str, float]:
    """The least time of each, taken in turns."""
    best = dict.fromkeys(layers, float("inf"))
    deadline = time.perf_counter() + SECONDS * len(layers)
    turns = 0
    while turns < 3 or time.perf_counter() < deadline:
        for name, layer in layers.items():
            product = next(layer)
            start = time.perf_counter()
            product(x)
            best[name] = min(best[name], time.perf_counter() - start)
        turns += 1
    return best


if __name__ == "__main__":
    main()
