"""`python -m benchmarks.long_context`: what a token costs after a long context, beside what must be read for it.

The past is made up: the keys and values of a short prompt, really computed, are copied over all blocks of the cache.
A step then does what it would do after a real prompt of that length: it reads as much, from blocks that lie anywhere.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import checkpoint, limits
from portico.config.engine import EngineConfig
from portico.engine.plan import Draw, Row, StepPlan
from portico.model.cache import bytes_per_block, make_cache
from portico.protocol.sampling import TokenParams
from portico.run.build import build_runner
from portico.run.runner import TorchRunner

CONTEXTS = (128, 2048, 8192, 32768)
BLOCK = 16
SHORT = 256
"""Tokens of the prompt whose keys and values fill the cache."""
CHUNKS = (256, 512)
PAST = 8192
"""Tokens before a chunk of a prompt."""
PER_PAIR = 4 * checkpoint.LAYERS * checkpoint.HEADS * checkpoint.HEAD_DIM
"""Floating-point operations of attention for one query and one key."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.long_context", description=__doc__)
    parser.add_argument("--model", type=Path, help="a checkpoint of Qwen3-0.6B's shape (default: random weights)")
    parser.add_argument("--repeat", type=int, default=5, help="turns, of which medians are shown (default: 5)")
    parser.add_argument("--steps", type=int, default=8, help="steps of each figure in a turn (default: 8)")
    parser.add_argument("--threads", type=int, help="of the engine (default: the physical cores)")
    parser.add_argument("--contexts", type=int, nargs="+", default=CONTEXTS, help="tokens before the one that is timed")
    arguments = parser.parse_args()
    console = Console(width=120)

    most = max(*arguments.contexts, PAST + max(CHUNKS))
    runners, threads = _runners(arguments.model or checkpoint.make_checkpoint(), most, arguments.threads)
    decode, ceilings = _decode_figures(runners, arguments.contexts, threads, arguments.repeat, arguments.steps)
    read = max(ceiling.read_bytes for ceiling in ceilings)
    peak = max(ceiling.bf16_flops for ceiling in ceilings)
    console.print(
        f"{threads} threads; the machine reads {read / 1e9:.1f} GB/s and multiplies {peak / 1e9:.0f} GFLOP/s at best"
    )
    console.print(_decode_table(decode, ceilings))
    console.print(_prefill_table(_prefill_figures(runners, arguments.repeat)))


@dataclass(frozen=True, slots=True)
class Runner:
    """A runner, the bytes that it reads for a token of context, and where its sequence lies."""

    runner: TorchRunner
    token_bytes: float
    blocks: Sequence[int]

    def step(self, start: int, tokens: int = 1) -> float:
        """Seconds of a step that computes so many tokens after `start` others and draws one."""
        draw = Draw(TokenParams(max_tokens=1, seed=0, temperature=0.0), 0, 0, [0], [])
        needed = self.blocks[: -(-(start + tokens) // BLOCK)]
        plan = StepPlan([Row(0, [17 * i % 1000 for i in range(tokens)], start, needed, draw)])
        began = time.perf_counter()
        self.runner.run(plan)
        return time.perf_counter() - began


def _runners(folder: Path, most: int, threads: int | None) -> tuple[dict[str, Runner], int]:
    """One for each way to keep keys and values, over the same weights."""
    length = most + BLOCK
    per_block = 2 * 2 * checkpoint.LAYERS * checkpoint.KV_HEADS * checkpoint.HEAD_DIM * BLOCK
    config = EngineConfig(
        model_path=str(folder),
        max_model_len=length,
        max_num_seqs=1,
        kv_cache_memory=(length // BLOCK + 2) * per_block,
        block_size=BLOCK,
        dtype="bfloat16",
        threads=threads,
    )
    first, loaded = build_runner(config)
    model, count = first.decoder.config, loaded.num_blocks
    eight = make_cache(model, count + 1, BLOCK, torch.int8, torch.device("cpu"))
    blocks = random.Random(0).sample(range(1, count + 1), count)
    made = {}
    for name, cache in (("bfloat16", first.cache), ("int8", eight)):
        runner = TorchRunner(first.decoder, cache, first.grammars)
        made[name] = Runner(runner, bytes_per_block(model, BLOCK, cache.pools[0].dtype) / BLOCK, blocks)
        made[name].step(0, SHORT)
        known = blocks[: SHORT // BLOCK]
        with torch.inference_mode():
            cache.copy([(known[i % len(known)], block) for i, block in enumerate(blocks) if i >= len(known)])
    return made, loaded.threads


def _decode_figures(
    runners: dict[str, Runner], contexts: Sequence[int], threads: int, repeat: int, steps: int
) -> tuple[dict[int, dict[str, Decoded]], list[limits.Limits]]:
    """In turns, each with its own measurement of the machine, for that changes from minute to minute."""
    figures = {context: {name: Decoded() for name in runners} for context in contexts}
    ceilings = []
    for _ in range(repeat):
        ceilings.append(limits.measure(threads))
        for context in contexts:
            for name, runner in runners.items():
                runner.step(context)
                seconds = statistics.median(runner.step(context) for _ in range(steps))
                must_read = 2 * checkpoint.weight_count() + context * runner.token_bytes
                found = figures[context][name]
                found.seconds.append(seconds)
                found.shares.append(must_read / ceilings[-1].read_bytes / seconds)
    torch.set_num_threads(1)
    return figures, ceilings


@dataclass(frozen=True, slots=True)
class Decoded:
    """What was measured of decoding after one context, turn by turn."""

    seconds: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    """Of what reading weights, keys and values would take at the bandwidth measured in the same turn."""


def _decode_table(figures: dict[int, dict[str, Decoded]], ceilings: Sequence[limits.Limits]) -> Table:
    names = list(next(iter(figures.values())))
    table = Table("decode ×1 after", *(f"{name} {what}" for name in names for what in ("ms", "tokens/s", "of ceiling")))
    table.add_column("times")
    for context, found in figures.items():
        cells = []
        for one in found.values():
            seconds = statistics.median(one.seconds)
            cells += [f"{seconds * 1000:.1f}", f"{1 / seconds:.1f}", f"{statistics.median(one.shares):.0%}"]
        ratios = [a / b for a, b in zip(found[names[0]].seconds, found[names[-1]].seconds, strict=True)]
        table.add_row(f"{context} tokens", *cells, f"{statistics.median(ratios):.2f}")
    return table


def _prefill_figures(runners: dict[str, Runner], repeat: int) -> dict[int, dict[str, tuple[float, float]]]:
    """By chunk and runner: GFLOP/s of all that is not attention, and of attention to what lies before the chunk."""
    body = checkpoint.weight_count() - checkpoint.VOCABULARY * checkpoint.HIDDEN
    figures: dict[int, dict[str, tuple[float, float]]] = {}
    for chunk in CHUNKS:
        figures[chunk] = {}
        for name, runner in runners.items():
            runner.step(PAST, chunk)
            turns = [(runner.step(0, chunk), runner.step(PAST, chunk)) for _ in range(repeat)]
            alone = statistics.median(a for a, _ in turns)
            attention = statistics.median(b - a for a, b in turns)
            figures[chunk][name] = (2 * body * chunk / alone / 1e9, PER_PAIR * chunk * PAST / attention / 1e9)
    return figures


def _prefill_table(figures: dict[int, dict[str, tuple[float, float]]]) -> Table:
    table = Table(f"GFLOP/s of a chunk after {PAST} tokens", "keys and values", "products", "attention", "ratio")
    for chunk, found in figures.items():
        for name, (products, attention) in found.items():
            table.add_row(f"{chunk} tokens", name, f"{products:.0f}", f"{attention:.0f}", f"{attention / products:.2f}")
    return table


if __name__ == "__main__":
    main()
