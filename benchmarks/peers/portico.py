"""Portico itself, by the definitions that the others are measured by."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.peers.common import (
    Measured,
    Peer,
    Sample,
    Setting,
    Shape,
    follow,
    free_port,
    prompts,
    seconds_to_healthy,
    work,
    worker,
)

NAME = "portico"
POOL = 1 << 30


def install() -> str:
    return importlib.metadata.version("portico")


def prepare(checkpoint: Path, form: str) -> Path:
    return checkpoint


def measure(model: Path, form: str, setting: Setting, shapes: Sequence[Shape]) -> Measured:
    port = free_port()
    flags = ("--port", str(port), "--quantization", form, "--kv-cache-memory", str(POOL), "--max-num-seqs", "32")
    command = (sys.executable, "-m", "portico.cli.main", "serve", str(model), *flags)
    ready = seconds_to_healthy(NAME, *command, port=port)
    job = {"model": str(model), "format": form, "shapes": [asdict(shape) for shape in shapes]}
    return Measured(ready, work(NAME, Path(sys.executable), "benchmarks.peers.portico", job).samples)


def load(job: dict[str, Any]) -> Callable[[Shape, int], Sample]:
    from portico.build import build_engine
    from portico.config.engine import EngineConfig
    from portico.protocol.messages import Add
    from portico.protocol.sampling import TokenParams

    config = EngineConfig(
        model_path=job["model"],
        max_num_seqs=32,
        max_model_len=max(2048, *(shape["prompt"] + shape["new_tokens"] for shape in job["shapes"])),
        kv_cache_memory=POOL,
        quantization=job["format"],
    )
    engine, loaded = build_engine(config)

    def take(shape: Shape, turn: int) -> Sample:
        names = {f"{turn}-{n}": n for n in range(shape.sequences)}
        params = TokenParams(max_tokens=shape.new_tokens, temperature=0.0, seed=turn)
        for name, prompt in zip(names, prompts(shape, loaded.vocab_size, turn), strict=True):
            engine.add(Add(name, prompt, params))

        def step() -> Iterable[tuple[int, int]]:
            return [(names[event.request_id], len(event.token_ids)) for event in engine.step().events]

        sample = follow(shape, step)
        while engine.has_work:
            engine.step()
        return sample

    # Every block is written once, as in a server that has run for a while.
    for turn in range(loaded.num_blocks * loaded.block_size // 1024):
        take(Shape("pool", 8, 120, 8), 1000 + turn)
    return take


PEER = Peer(NAME, {"none": 16, "int8": 8, "int4": 4}, ({},), "portico serve answers /health", install, prepare, measure)

if __name__ == "__main__":
    worker(load)
