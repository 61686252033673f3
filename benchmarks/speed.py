"""`python -m benchmarks.speed`: speeds, beside what the silicon allows and what `transformers` does in the same run."""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import checkpoint, engine_speed, http_load, limits
from portico.build import build_engine
from portico.config.engine import EngineConfig
from portico.protocol.messages import Loaded

POOL = 1 << 30
"""Bytes for keys and values: enough for every figure, and filled once before the first, as in a server that has run for
a while. The first touch of fresh memory can cost more than what is computed into it, above all in virtual machines."""

Format = Literal["none", "int8", "int4"]
FORMATS: tuple[Format, ...] = ("int8", "int4")
HEAD = checkpoint.VOCABULARY * checkpoint.HIDDEN
BYTES: dict[Format, tuple[float, float]] = {
    "none": (2, 2),
    "int8": (1 + 4 / 128, 1 + 4 / 128),
    "int4": (0.5 + 2 / 32, 1 + 4 / 128),
}
"""Of a weight of the layers and of one of the head, scales included."""
KV_BYTES = 2 * 2 * checkpoint.LAYERS * checkpoint.KV_HEADS * checkpoint.HEAD_DIM
"""Of the keys and values of a token."""
BATCHES = {"decode ×1": 1, "decode ×8": 8, "decode ×32": 32}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.speed", description=__doc__)
    parser.add_argument("--model", type=Path, help="a checkpoint (default: random weights of Qwen3-0.6B's shape)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each figure; the median is shown (default: 3)")
    parser.add_argument("--no-baseline", action="store_true", help="leave transformers out")
    parser.add_argument("--no-formats", action="store_true", help="leave weights of 8 and 4 bits out")
    parser.add_argument("--no-http", action="store_true", help="leave the server out")
    arguments = parser.parse_args()
    folder = arguments.model or checkpoint.make_checkpoint()
    console = Console(width=120)

    repeat = arguments.repeat
    engine = _engine_figures(folder, repeat, with_http=not arguments.no_http)
    console.print(engine.about)
    theirs = {} if arguments.no_baseline else _baseline_figures(folder, repeat, engine.threads)
    few_bits = {} if arguments.no_formats else {name: _few_bits_figures(folder, repeat, name) for name in FORMATS}
    console.print(_table(engine, theirs))
    if few_bits:
        console.print(_formats_table(engine.speeds, few_bits, engine.ceiling))
    for line in engine.notes:
        console.print(line)


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """What was measured of the engine alone."""

    about: str
    threads: int
    ceiling: limits.Limits
    speeds: dict[str, float]
    http: dict[str, Served]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Served:
    """What comes through HTTP."""

    speed: float
    share: float
    """Of what the engine alone gives: the median over runs in turns, for machines change from minute to minute."""


def _warm_driver(folder: Path, quantization: Format) -> tuple[engine_speed.Driver, Loaded]:
    """An engine whose pool has been written to from end to end."""
    engine, loaded = build_engine(
        EngineConfig(
            model_path=str(folder),
            max_num_seqs=32,
            max_model_len=2048,
            kv_cache_memory=POOL,
            quantization=quantization,
        )
    )
    driver = engine_speed.Driver(engine, loaded.vocab_size)
    for _ in range(loaded.num_blocks * loaded.block_size // 160):
        driver.add(128, 48)
    driver.finish()
    return driver, loaded


def _speeds(driver: engine_speed.Driver, repeat: int) -> dict[str, float]:
    speeds = {"prefill 1024": _median(repeat, lambda: engine_speed.prefill(driver))}
    return speeds | {name: _median(repeat, partial(engine_speed.decode, driver, n)) for name, n in BATCHES.items()}


def _few_bits_figures(folder: Path, repeat: int, quantization: Format) -> dict[str, float]:
    return _speeds(_warm_driver(folder, quantization)[0], repeat)


def _engine_figures(folder: Path, repeat: int, *, with_http: bool) -> EngineFigures:
    driver, loaded = _warm_driver(folder, "none")
    ceiling = limits.measure(loaded.threads)
    speeds = _speeds(driver, repeat)
    costs = engine_speed.wishes_cost(driver, repeat)
    late = engine_speed.under_load(driver)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    http, seconds_to_ready = _http_figures(driver, folder, repeat) if with_http else ({}, 0.0)
    return EngineFigures(
        f"{loaded.device}, {loaded.dtype}, {loaded.threads} threads, kernels {loaded.kernels}; the machine reads "
        f"{ceiling.read_bytes / 1e9:.1f} GB/s and multiplies {ceiling.bf16_flops / 1e9:.0f} GFLOP/s in bf16, "
        f"{ceiling.int8_ops / 1e9:.0f} GOP/s in int8",
        loaded.threads,
        ceiling,
        speeds,
        http,
        [
            f"first token of a 1024-token prompt among 8 streams: {late.first_token:.2f} s; longest pause of a stream "
            f"meanwhile {late.longest_gap * 1000:.0f} ms (usual {late.usual_gap * 1000:.0f} ms)",
            *(
                f"a token of one of 32 streams with {name}: {cost:.3f} times the time of a greedy one"
                for name, cost in costs.items()
            ),
            f"weights loaded in {loaded.load_seconds:.1f} s; peak memory {peak:.2f} GiB",
            *([f"process start to ready: {seconds_to_ready:.1f} s"] if with_http else []),
        ],
    )


def _http_figures(driver: engine_speed.Driver, folder: Path, repeat: int) -> tuple[dict[str, Served], float]:
    """Of a server beside the engine of this process, which sleeps while it is not asked."""
    flags = (
        "--served-model-name",
        "bench",
        "--max-num-seqs",
        "32",
        "--max-model-len",
        "2048",
        "--kv-cache-memory",
        str(POOL),
        "--log-level",
        "warning",
    )
    with http_load.server(folder, *flags) as server:
        for _ in range(2):
            asyncio.run(http_load.decode(server.port, checkpoint.VOCABULARY, 32))
        figures = {}
        for name, n in BATCHES.items():
            alone, served = [], []
            for _ in range(repeat + 2):
                alone.append(engine_speed.decode(driver, n))
                served.append(asyncio.run(http_load.decode(server.port, checkpoint.VOCABULARY, n)))
            shares = [through / direct for direct, through in zip(alone, served, strict=True)]
            figures[name] = Served(statistics.median(served), statistics.median(shares))
        return figures, server.seconds_to_ready


def _baseline_figures(folder: Path, repeat: int, threads: int) -> dict[str, float]:
    from benchmarks.transformers_speed import Baseline

    torch.set_num_threads(threads)  # the engine has taken all but one for its own
    baseline = Baseline(folder)
    baseline.prefill(64)
    figures = {"prefill 1024": _median(repeat, baseline.prefill)}
    return figures | {name: _median(repeat, partial(baseline.decode, n)) for name, n in BATCHES.items()}


def _median(repeat: int, run: Callable[[], float]) -> float:
    return statistics.median(run() for _ in range(repeat))


def _limit(row: str, form: Format, ceiling: limits.Limits) -> float:
    """Tokens a second if nothing took time but multiplying, or reading the weights and the past once a step."""
    operations = ceiling.bf16_flops if form == "none" else ceiling.int8_ops
    body = checkpoint.weight_count() - HEAD
    if row not in BATCHES:
        return operations / (2 * body)
    sequences, (of_body, of_head) = BATCHES[row], BYTES[form]
    past = engine_speed.PROMPT + engine_speed.DECODED / 2
    read = body * of_body + HEAD * of_head + sequences * past * KV_BYTES
    seconds = max(read / ceiling.read_bytes, 2 * checkpoint.weight_count() * sequences / operations)
    return sequences / seconds


def _formats_table(whole: dict[str, float], few: dict[Format, dict[str, float]], ceiling: limits.Limits) -> Table:
    table = Table("tokens/s", "bfloat16", *(part for name in few for part in (name, "times", "of limit")))
    for row, value in whole.items():
        cells = []
        for name, figures in few.items():
            speed = figures[row]
            cells += [f"{speed:.1f}", f"{speed / value:.2f}", f"{speed / _limit(row, name, ceiling):.0%}"]
        table.add_row(row, f"{value:.1f}", *cells)
    return table


def _table(engine: EngineFigures, theirs: dict[str, float]) -> Table:
    table = Table("tokens/s", "engine", "of limit", "limit", "HTTP", "HTTP/engine", "transformers", "ratio")
    for name, value in engine.speeds.items():
        other, served = theirs.get(name), engine.http.get(name)
        limit = _limit(name, "none", engine.ceiling)
        table.add_row(
            name,
            f"{value:.1f}",
            f"{value / limit:.0%}",
            f"{limit:.0f}",
            f"{served.speed:.1f}" if served else "",
            f"{served.share:.3f}" if served else "",
            f"{other:.1f}" if other else "",
            f"{value / other:.2f}" if other else "",
        )
    return table


if __name__ == "__main__":
    main()
