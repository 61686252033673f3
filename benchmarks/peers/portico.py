"""Portico itself, by the definitions that the others are measured by."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

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

if TYPE_CHECKING:
    from portico.config.engine import KVDtypeName, QuantizationName

NAME = "portico"
POOL = 1 << 30
FORMATS = {"none": 16, "int8": 8, "int8 kv8": 8, "int4": 4, "int4 kv8": 4}
"""Bits of a weight; with kv8, keys and values have eight too."""


def install() -> str:
    return importlib.metadata.version("portico")


def prepare(checkpoint: Path, form: str) -> Path:
    return checkpoint


def measure(model: Path, form: str, setting: Setting, shapes: Sequence[Shape]) -> Measured:
    port = free_port()
    quantization, kv_dtype = _formats(form)
    flags = ("--port", str(port), "--quantization", quantization, "--kv-cache-dtype", kv_dtype)
    flags += ("--kv-cache-memory", str(POOL), "--max-num-seqs", "32")
    command = (sys.executable, "-m", "portico.cli.main", "serve", str(model), *flags)
    ready = seconds_to_healthy(NAME, *command, port=port)
    job = {"model": str(model), "format": form, "shapes": [asdict(shape) for shape in shapes]}
    return Measured(ready, work(NAME, Path(sys.executable), "benchmarks.peers.portico", job).samples)


def _formats(form: str) -> tuple[QuantizationName, KVDtypeName]:
    """Of weights, and of keys and values."""
    quantization, _, keys = form.partition(" ")
    return cast("QuantizationName", quantization), "int8" if keys else "auto"


def load(job: dict[str, Any]) -> Callable[[Shape, int], Sample]:
    from portico.build import build_engine
    from portico.config.engine import EngineConfig
    from portico.protocol.messages import Add
    from portico.protocol.sampling import TokenParams

    quantization, kv_dtype = _formats(job["format"])
    config = EngineConfig(
        model_path=job["model"],
        max_num_seqs=32,
        max_model_len=max(2048, *(shape["prompt"] + shape["new_tokens"] for shape in job["shapes"])),
        kv_cache_memory=POOL,
        quantization=quantization,
        kv_cache_dtype=kv_dtype,
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


PEER = Peer(NAME, FORMATS, ({},), "portico serve answers /health", install, prepare, measure)

if __name__ == "__main__":
    worker(load)
