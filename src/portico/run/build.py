"""Load a model and make the runner for it."""

from __future__ import annotations

import logging
import time
from functools import partial
from pathlib import Path

import torch

from portico.config.engine import EngineConfig
from portico.decode.grammar import Grammars
from portico.engine.plan import Draw, Row, StepPlan
from portico.errors import ConfigError
from portico.kernels.dispatch import select_kernels
from portico.model.cache import make_cache
from portico.model.config import read_config
from portico.model.load import load_decoder
from portico.protocol.messages import Loaded
from portico.protocol.sampling import TokenParams
from portico.run.device import keep_freed_memory, resolve_device, resolve_dtype, set_threads
from portico.run.limits import size_cache, wanted_model_len
from portico.run.machine import usable_cores
from portico.run.runner import TorchRunner
from portico.weights.safetensors import Checkpoint
from portico.weights.tokenizers.read import read_tokenizer

log = logging.getLogger(__name__)

_BATCHED_TOKENS = {"cpu": 1024, "cuda": 8192, "mps": 1024}
_BESIDE_DECODES = {"cpu": 256, "cuda": 2048, "mps": 512}
"""Prompt tokens in a step that also decodes: the products of so many rows already run at full speed."""


def build_runner(config: EngineConfig) -> tuple[TorchRunner, Loaded]:
    """The runner and what it ended up with; raises CheckpointError or ConfigError."""
    began = time.perf_counter()
    folder = Path(config.model_path)
    model = read_config(folder)
    device = resolve_device(config.device)
    dtype = resolve_dtype(config.dtype, model.dtype, device)
    threads = config.threads or usable_cores()
    set_threads(threads)
    keep_freed_memory()
    kernels = select_kernels(device, dtype, config.kernels, config.quantization)
    if config.block_size % kernels.block_multiple:
        raise ConfigError(
            f"block_size is {config.block_size}; with this machine's kernels ({kernels.name}) it must be a multiple "
            f"of {kernels.block_multiple}. Or choose kernels torch."
        )
    max_model_len = wanted_model_len(config, model)
    with torch.inference_mode():
        decoder = load_decoder(
            model, Checkpoint(folder), dtype=dtype, device=device, kernels=kernels, max_model_len=max_model_len
        )
        size = size_cache(config, model, max_model_len, dtype, device)
        cache = make_cache(model, size.num_blocks + 1, config.block_size, dtype, device)
    read = partial(read_tokenizer, Path(config.tokenizer_path or folder), config.tokenizer_mode)
    runner = TorchRunner(decoder, cache, Grammars(read, model.vocab_size), config.logprobs_mode)
    batched = config.max_num_batched_tokens or _BATCHED_TOKENS[device.type]
    _warm_up(runner)
    loaded = Loaded(
        max_model_len=size.max_model_len,
        max_num_seqs=config.max_num_seqs,
        max_num_batched_tokens=batched,
        max_prefill_beside_decodes=min(batched, _BESIDE_DECODES[device.type]),
        block_size=config.block_size,
        num_blocks=size.num_blocks,
        vocab_size=model.vocab_size,
        hidden_size=model.hidden_size,
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
        threads=threads,
        kernels=kernels.name,
        load_seconds=time.perf_counter() - began,
    )
    log.debug("%s", loaded)
    return runner, loaded


def _warm_up(runner: TorchRunner) -> None:
    """Run a short prompt and one decode in the padding block: the first request does not pay for first calls."""
    params = TokenParams(max_tokens=1, seed=0, temperature=1.0, top_k=1)
    tokens = [0] * min(8, runner.cache.block_size)
    for token_ids, start in ((tokens, 0), ([0], len(tokens) - 1)):
        draw = Draw(params, choice=0, position=0, prompt_ids=tokens, output_ids=[])
        runner.run(StepPlan([Row(sequence_id=0, token_ids=token_ids, start=start, blocks=[0], draw=draw)]))
