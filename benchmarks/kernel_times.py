"""`python -m benchmarks.kernel_times`: where the time of a step goes, kernel by kernel, and what each could be at best.

Each call of the library is timed by itself, those of a tape too; what is left of a step is Python and torch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from ctypes import CDLL, Array, Structure, c_int32, c_void_p
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rich.console import Console
from rich.table import Table

from benchmarks import checkpoint, engine_speed, limits
from benchmarks.speed import POOL
from portico.build import build_engine
from portico.config.engine import EngineConfig
from portico.kernels import layouts, native
from portico.kernels.tape import KERNELS

SHAPES = {"prefill 1024": 0, "decode ×1": 1, "decode ×8": 8, "decode ×32": 32}
"""Sequences that decode, or none for a prompt alone."""
STEPS = 24
WEIGHT_BYTES = (2, 1 + 4 / 128, 0.5 + 2 / 32)
"""Of a weight, scales included, by the library's number of the format."""
UNTIMED = {"portico_set_threads", "portico_peak", "portico_choose", "portico_instruction_set", "portico_pack_linear"}


@dataclass(slots=True)
class Spent:
    """What the calls of one kind took, and what there was to do."""

    seconds: float = 0.0
    calls: int = 0
    operations: float = 0.0
    read: float = 0.0
    few_bits: bool = False

    def least(self, ceiling: limits.Limits) -> float:
        """Seconds that multiplying, or reading what lies in memory, would take at the machine's best."""
        rate = ceiling.int8_ops if self.few_bits else ceiling.bf16_flops
        return max(self.operations / rate, self.read / ceiling.read_bytes)


@dataclass(slots=True)
class Times:
    """By kind of call."""

    spent: dict[str, Spent] = field(default_factory=dict)

    def note(self, kernel: str, arguments: Any, seconds: float) -> None:
        kind, operations, read, few_bits = _described(kernel, arguments)
        spent = self.spent.setdefault(kind, Spent(few_bits=few_bits))
        spent.seconds += seconds
        spent.calls += 1
        spent.operations += operations
        spent.read += read


def _described(kernel: str, a: Any) -> tuple[str, float, float, bool]:
    """The kind of a call, its operations and the bytes it must read, and whether whole numbers are multiplied."""
    if kernel == "linear":
        read = WEIGHT_BYTES[a.format] * a.inputs * a.outputs
        return f"linear {a.inputs} to {a.outputs}", 2.0 * a.rows * a.inputs * a.outputs, read, a.format > 0
    if kernel == "attend":
        starts = (c_int32 * a.sequences).from_address(a.starts)
        tokens = (c_int32 * (a.sequences + 1)).from_address(a.tokens)
        seen, pairs = 0, 0
        for start, first, end in zip(starts, tokens, tokens[1:], strict=False):
            queries = end - first
            seen += start + queries
            pairs += queries * start + queries * (queries + 1) // 2
        return kernel, 4.0 * pairs * a.heads * a.head_dim, 4.0 * seen * a.kv_heads * a.head_dim, False
    return kernel, 0.0, 0.0, False


_LAYOUTS: dict[str, type[Structure]] = {
    "attend": layouts.Attend,
    "prepare": layouts.Prepare,
    "linear": layouts.Linear,
    "rms_norm": layouts.RmsNorm,
    "silu_mul": layouts.SiluMul,
}


class TimedLibrary:
    """The library with a clock around each of its kernels."""

    def __init__(self, path: str, times: Times) -> None:
        self._library, self._times = CDLL(path), times
        self._functions: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name in UNTIMED:
            return getattr(self._library, name)
        if name not in self._functions:
            call = self._replay if name == "portico_replay" else self._timed(name)
            self._functions[name] = _Function(call)
        return self._functions[name]

    def _timed(self, name: str) -> Callable[..., None]:
        function, kernel = getattr(self._library, name), name.removeprefix("portico_")
        function.restype = None

        def call(arguments: Any, *rest: Any) -> None:
            start = time.perf_counter()
            function(arguments, *rest)
            self._times.note(kernel, arguments._obj, time.perf_counter() - start)

        return call

    def _replay(self, calls: Array[Any], count: int) -> None:
        for call in calls[:count]:
            kernel = KERNELS[call.kernel]
            function = getattr(self._library, f"portico_{kernel}")
            function.restype = None
            start = time.perf_counter()
            function(c_void_p(call.arguments), call.dtype)
            seconds = time.perf_counter() - start
            self._times.note(kernel, _LAYOUTS[kernel].from_address(call.arguments), seconds)


@dataclass
class _Function:
    """What stands for a function of a library: its result's type can be set."""

    call: Callable[..., None]
    restype: Any = None

    def __call__(self, *arguments: Any) -> None:
        self.call(*arguments)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.kernel_times", description=__doc__)
    parser.add_argument("--model", type=Path, help="a checkpoint (default: random weights of Qwen3-0.6B's shape)")
    parser.add_argument("--quantization", choices=("none", "int8", "int4"), default="none")
    parser.add_argument("--kv-cache-dtype", choices=("auto", "int8"), default="auto")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--kernels", default="auto", help="an instruction set")
    arguments = parser.parse_args()
    times = Times()
    with patch.object(native, "CDLL", lambda path: TimedLibrary(path, times)):
        engine, loaded = build_engine(
            EngineConfig(
                model_path=str(arguments.model or checkpoint.make_checkpoint()),
                max_num_seqs=32,
                max_model_len=2048,
                kv_cache_memory=POOL,
                quantization=arguments.quantization,
                kv_cache_dtype=arguments.kv_cache_dtype,
                kernels=arguments.kernels,
            )
        )
    driver = engine_speed.Driver(engine, loaded.vocab_size)
    for _ in range(loaded.num_blocks * loaded.block_size // 160):  # fresh memory would cost more than what is written
        driver.add(128, 4)
    driver.finish()
    console = Console(width=120)
    ceiling = limits.measure(loaded.threads)
    console.print(
        f"{loaded.threads} threads, kernels {loaded.kernels}; the machine reads {ceiling.read_bytes / 1e9:.1f} GB/s "
        f"and multiplies {ceiling.bf16_flops / 1e9:.0f} GFLOP/s in bf16, {ceiling.int8_ops / 1e9:.0f} GOP/s in int8"
    )
    for name in arguments.shapes:
        console.print(_table(name, *_best(driver, times, SHAPES[name]), ceiling))


def _best(driver: engine_speed.Driver, times: Times, sequences: int) -> tuple[float, dict[str, Spent]]:
    """Seconds of the quickest step of several and what it was spent on: the others were disturbed."""
    return min(_steps(driver, times, sequences), key=lambda step: step[0])


def _steps(driver: engine_speed.Driver, times: Times, sequences: int) -> Iterator[tuple[float, dict[str, Spent]]]:
    """Steps of one shape: their seconds, and what their calls took."""
    if not sequences:
        for _ in range(4):
            driver.add(1024, 1)
            yield _timed_step(driver, times)
        return
    waiting = {driver.add(engine_speed.PROMPT, STEPS + 2) for _ in range(sequences)}
    while waiting:
        waiting -= {event.request_id for event in driver.engine.step().events}
    _timed_step(driver, times)
    for _ in range(STEPS // 2):
        yield _timed_step(driver, times)
    driver.finish()


def _timed_step(driver: engine_speed.Driver, times: Times) -> tuple[float, dict[str, Spent]]:
    times.spent = {}
    start = time.perf_counter()
    driver.engine.step()
    seconds, spent = time.perf_counter() - start, times.spent
    times.spent = {}
    return seconds, spent


def _table(name: str, seconds: float, spent: dict[str, Spent], ceiling: limits.Limits) -> Table:
    table = Table(name, "calls", "ms", "of step", "at best, ms", "of best", "Gop/s", "GB/s")
    for kind, one in sorted(spent.items(), key=lambda item: -item[1].seconds):
        least = one.least(ceiling)
        cells = [f"{one.seconds * 1000:.2f}", f"{one.seconds / seconds:.1%}"]
        if least:
            cells += [f"{least * 1000:.2f}", f"{least / one.seconds:.0%}"]
            cells += [f"{one.operations / one.seconds / 1e9:.0f}", f"{one.read / one.seconds / 1e9:.1f}"]
        table.add_row(kind, str(one.calls), *cells)
    rest = seconds - sum(one.seconds for one in spent.values())
    table.add_row("between kernels", "", f"{rest * 1000:.2f}", f"{rest / seconds:.1%}")
    least = sum(one.least(ceiling) for one in spent.values())
    table.add_row("all", "", f"{seconds * 1000:.2f}", "", f"{least * 1000:.2f}", f"{least / seconds:.0%}")
    return table


if __name__ == "__main__":
    main()
