"""OpenVINO GenAI: continuous batching on models that optimum-intel converts."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable, Iterable, Sequence
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
    follow,
    prompts,
    run,
    version,
    work,
    worker,
)

NAME = "openvino"
EXPORT = {
    "int8": ("--weight-format", "int8"),
    "int4": ("--weight-format", "int4", "--sym", "--group-size", "128", "--ratio", "1.0"),
}


def install() -> str:
    torch = importlib.metadata.version("torch").partition("+")[0]
    python = environment(NAME, f"torch=={torch}", "openvino-genai", "optimum-intel[openvino]", without=("torchvision",))
    return f"genai {version(python, 'openvino-genai')}, optimum-intel {version(python, 'optimum-intel')}"


def prepare(checkpoint: Path, form: str) -> Path:
    target = checkpoint / "openvino" / form
    if not target.exists():
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        python = HOME / NAME / "bin" / "python"
        command = (str(python), str(python.parent / "optimum-cli"), "export", "openvino", "--model", str(checkpoint))
        run(NAME, *command, "--task", "text-generation-with-past", *EXPORT[form], str(partial))
        partial.rename(target)
    return target


def measure(model: Path, form: str, setting: Setting, shapes: Sequence[Shape]) -> Measured:
    job = {"model": str(model), "shapes": [asdict(shape) for shape in shapes], "properties": dict(setting)}
    return work(NAME, HOME / NAME / "bin" / "python", "benchmarks.peers.openvino", job)


def load(job: dict[str, Any]) -> Callable[[Shape, int], Sample]:
    import json

    import numpy
    import openvino
    import openvino_genai as genai

    scheduler = genai.SchedulerConfig()
    scheduler.cache_size = 1
    scheduler.max_num_seqs = 32
    scheduler.max_num_batched_tokens = 4096
    scheduler.enable_prefix_caching = False
    properties = {"INFERENCE_NUM_THREADS": len(cores()), **job["properties"]}
    pipeline = genai.ContinuousBatchingPipeline(job["model"], scheduler, "CPU", properties)
    vocabulary = json.loads((Path(job["model"]) / "config.json").read_text())["vocab_size"]

    def take(shape: Shape, turn: int) -> Sample:
        config = genai.GenerationConfig()
        config.max_new_tokens, config.ignore_eos, config.do_sample = shape.new_tokens, True, False
        handles = [
            pipeline.add_request(turn * 100 + n, openvino.Tensor(numpy.array([prompt], dtype=numpy.int64)), config)
            for n, prompt in enumerate(prompts(shape, vocabulary, turn))
        ]

        def step() -> Iterable[tuple[int, int]]:
            pipeline.step()
            for index, handle in enumerate(handles):
                while handle.can_read():
                    yield index, sum(len(output.generated_ids) for output in handle.read().values())

        sample = follow(shape, step)
        while pipeline.has_non_finished_requests():
            pipeline.step()
        return sample

    return take


PEER = Peer(
    NAME,
    {"int8": 8, "int4": 4},
    ({}, {"DYNAMIC_QUANTIZATION_GROUP_SIZE": 128}, {"INFERENCE_PRECISION_HINT": "f32"}),
    "process has made its pipeline (a library, no server)",
    install,
    prepare,
    measure,
)

if __name__ == "__main__":
    worker(load)
