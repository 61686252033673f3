"""`python -m benchmarks.speed`: speeds, beside what the silicon allows and what `transformers` does in the same run."""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import checkpoint, engine_speed, http_load, limits
from portico.build import build_engine
from portico.config.engine import EngineConfig

POOL = 1 << 30
"""Bytes for keys and values: enough for every figure, and filled once before the first, as in a server that has run for
a while. The first touch of fresh memory can cost more than what is computed into it, above all in virtual machines."""

BATCHES = {"decode ×1": 1, "decode ×8": 8, "decode ×32": 32}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.speed", description=__doc__)
    parser.add_argument("--model", type=Path, help="a checkpoint (default: random weights of Qwen3-0.6B's shape)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each figure; the median is shown (default: 3)")
    parser.add_argument("--no-baseline", action="store_true", help="leave transformers out")
    parser.add_argument("--no-http", action="store_true", help="leave the server out")
    arguments = parser.parse_args()
    folder = arguments.model or checkpoint.make_checkpoint()
    console = Console(width=120)

    repeat = arguments.repeat
    engine = _engine_figures(folder, repeat)
    console.print(engine.about)
    http = {} if arguments.no_http else _http_figures(folder, repeat)
    theirs = {} if arguments.no_baseline else _baseline_figures(folder, repeat)
    console.print(_table(engine.speeds, http, theirs, _ceilings(engine.ceiling)))
    for line in engine.notes:
        console.print(line)
    if http:
        console.print(f"process start to ready: {http['start']:.1f} s")


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """What was measured of the engine alone."""

    about: str
    ceiling: limits.Limits
    speeds: dict[str, float]
    notes: list[str]


def _engine_figures(folder: Path, repeat: int) -> EngineFigures:
    start = time.perf_counter()
    engine, loaded = build_engine(
        EngineConfig(model_path=str(folder), max_num_seqs=32, max_model_len=2048, kv_cache_memory=POOL)
    )
    load = time.perf_counter() - start
    ceiling = limits.measure()
    driver = engine_speed.Driver(engine, loaded.vocab_size)
    for _ in range(loaded.num_blocks * loaded.block_size // 160):
        driver.add(128, 48)
    driver.finish()
    speeds = {"prefill 1024": _median(repeat, lambda: engine_speed.prefill(driver))}
    speeds |= {name: _median(repeat, partial(engine_speed.decode, driver, n)) for name, n in BATCHES.items()}
    costs = engine_speed.wishes_cost(driver, repeat)
    late = engine_speed.under_load(driver)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return EngineFigures(
        f"{loaded.device}, {loaded.dtype}, {loaded.threads} threads, kernels {loaded.kernels}; the machine reads "
        f"{ceiling.read_bytes / 1e9:.1f} GB/s and multiplies {ceiling.bf16_flops / 1e9:.0f} GFLOP/s in bf16",
        ceiling,
        speeds,
        [
            f"first token of a 1024-token prompt among 8 streams: {late.first_token:.2f} s; longest pause of a stream "
            f"meanwhile {late.longest_gap * 1000:.0f} ms (usual {late.usual_gap * 1000:.0f} ms)",
            *(
                f"a token of one of 32 streams with {name}: {cost:.3f} times the time of a greedy one"
                for name, cost in costs.items()
            ),
            f"weights loaded in {load:.1f} s; peak memory {peak:.2f} GiB",
        ],
    )


def _http_figures(folder: Path, repeat: int) -> dict[str, float]:
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
        figures = {
            name: _median(repeat, lambda n=n: asyncio.run(http_load.decode(server.port, checkpoint.VOCABULARY, n)))
            for name, n in BATCHES.items()
        }
        return figures | {"start": server.seconds_to_ready}


def _baseline_figures(folder: Path, repeat: int) -> dict[str, float]:
    from benchmarks.transformers_speed import Baseline

    baseline = Baseline(folder)
    baseline.prefill(64)
    figures = {"prefill 1024": _median(repeat, baseline.prefill)}
    return figures | {name: _median(repeat, partial(baseline.decode, n)) for name, n in BATCHES.items()}


def _median(repeat: int, run: Callable[[], float]) -> float:
    return statistics.median(run() for _ in range(repeat))


def _ceilings(ceiling: limits.Limits) -> dict[str, float]:
    """Tokens a second if nothing but reading the weights once a step, or multiplying, took time."""
    weights = checkpoint.weight_count()
    body = weights - checkpoint.VOCABULARY * checkpoint.HIDDEN
    table = {"prefill 1024": ceiling.bf16_flops / (2 * body)}
    for name, n in BATCHES.items():
        seconds = max(2 * weights / ceiling.read_bytes, 2 * weights * n / ceiling.bf16_flops)
        table[name] = n / seconds
    return table


def _table(
    ours: dict[str, float], http: dict[str, float], theirs: dict[str, float], ceilings: dict[str, float]
) -> Table:
    table = Table("tokens/s", "engine", "of limit", "limit", "HTTP", "HTTP/engine", "transformers", "ratio")
    for name, value in ours.items():
        other, served = theirs.get(name), http.get(name)
        table.add_row(
            name,
            f"{value:.1f}",
            f"{value / ceilings[name]:.0%}",
            f"{ceilings[name]:.0f}",
            f"{served:.1f}" if served else "",
            f"{served / value:.3f}" if served else "",
            f"{other:.1f}" if other else "",
            f"{value / other:.2f}" if other else "",
        )
    return table


if __name__ == "__main__":
    main()
