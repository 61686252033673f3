"""transformers: its own model, eager or compiled, in bfloat16."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.peers.common import (
    HOME,
    Measured,
    Peer,
    Sample,
    Setting,
    Shape,
    cores,
    environment,
    prompts,
    version,
    work,
    worker,
)

NAME = "transformers"


def install() -> str:
    torch = importlib.metadata.version("torch").partition("+")[0]
    python = environment(NAME, f"torch=={torch}", "transformers", "numpy")
    return f"{version(python, 'transformers')}, torch {version(python, 'torch')}"


def prepare(checkpoint: Path, form: str) -> Path:
    return checkpoint


def measure(model: Path, form: str, setting: Setting, shapes: Sequence[Shape]) -> Measured:
    job = {"model": str(model), "shapes": [asdict(shape) for shape in shapes], "compile": setting["compile"]}
    env = {"OMP_NUM_THREADS": str(len(cores())), "TORCHINDUCTOR_CACHE_DIR": str(HOME / "inductor")}
    return work(NAME, HOME / NAME / "bin" / "python", "benchmarks.peers.transformers", job, env)


def load(job: dict[str, Any]) -> Callable[[Shape, int], Sample]:
    import torch
    from transformers import AutoModelForCausalLM, StaticCache

    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.bfloat16).eval()
    forward = model.forward
    if job["compile"]:
        import torch._inductor.config

        torch._inductor.config.freezing = True
        forward = torch.compile(model.forward, dynamic=False)

    @torch.inference_mode()
    def take(shape: Shape, turn: int) -> Sample:
        cache = None
        if job["compile"]:
            # As long in the short run as in the one that counts, so that both compile to the same.
            cache = StaticCache(config=model.config, max_cache_len=-(-shape.prompt // 128) * 128 + 128)
        ids = torch.tensor(prompts(shape, model.config.vocab_size, turn))
        start = time.perf_counter()
        out = model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        ids = out.logits[:, -1:].argmax(-1)
        begun = time.perf_counter()
        for _ in range(shape.new_tokens - 1):
            out = forward(ids, past_key_values=out.past_key_values, use_cache=True, logits_to_keep=1)
            ids = out.logits[:, -1:].argmax(-1)
        seconds = time.perf_counter() - begun
        if shape.new_tokens == 1:
            return Sample(begun - start, None)
        return Sample(begun - start, shape.sequences * (shape.new_tokens - 1) / seconds)

    return take


PEER = Peer(
    NAME,
    {"bf16": 16},
    ({"compile": False}, {"compile": True}),
    "process has loaded the model (a library, no server)",
    install,
    prepare,
    measure,
)

if __name__ == "__main__":
    worker(load)
