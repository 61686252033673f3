"""Load a model and make the runner for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from portico.config.engine import EngineConfig
from portico.decode.grammar import Grammars
from portico.engine.plan import Draw, Row, StepPlan
from portico.errors import ConfigError
from portico.kernels.dispatch import Kernels, select_kernels
from portico.model.cache import make_cache
from portico.model.config import read_config
from portico.model.load import load_decoder
from portico.protocol.messages import Loaded
from portico.protocol.sampling import TokenParams
from portico.run.device import (
    keep_freed_memory,
    no_threads_between_operations,
    resolve_device,
    resolve_dtype,
    resolve_kv_dtype,
    return_freed_memory,
)
from portico.run.limits import size_cache, wanted_model_len
from portico.run.machine import usable_cores
from portico.run.needs import Case, require_memory
from portico.run.quantization import choose_quantization, packed_weights
from portico.run.runner import TorchRunner
from portico.weights.packed import PackedWeights
from portico.weights.safetensors import Checkpoint
from portico.weights.tokenizers.read import read_tokenizer

log = logging.getLogger(__name__)

BATCHED_TOKENS = {"cpu": 1024, "cuda": 8192, "mps": 1024}
_BESIDE_DECODES = {"cpu": 256, "cuda": 2048, "mps": 512}
"""Prompt tokens in a step that also decodes: the products of so many rows already run at full speed."""


def build_runner(
    config: EngineConfig, tell: Callable[[str, float], None] = lambda stage, progress: None
) -> tuple[TorchRunner, Loaded]:
    """The runner and what it ended up with; raises CheckpointError or ConfigError.

    `tell` is told of each stage, and how much of the checkpoint is in place (0 to 1).
    """
    began, folder = time.perf_counter(), Path(config.model_path)
    model = read_config(folder)
    device = resolve_device(config.device)
    dtype = resolve_dtype(config.dtype, model.dtype, device)
    kv_dtype = resolve_kv_dtype(config.kv_cache_dtype, dtype)
    threads = _prepare_process(config)
    checkpoint = Checkpoint(folder)
    quantization, why = choose_quantization(config, model, device, dtype)
    kernels = select_kernels(device, dtype, config.kernels, quantization)
    _check_block_size(config, kernels)
    kernels.use_threads(threads)
    max_model_len = wanted_model_len(config, model)
    batched = config.max_num_batched_tokens or BATCHED_TOKENS[device.type]
    require_memory(Case(config, model, device, dtype, max_model_len, batched), quantization, kv_dtype)
    with torch.inference_mode():
        packed = packed_weights(config, checkpoint, kernels, quantization, dtype)
        decoder = load_decoder(
            model,
            checkpoint,
            packed,
            dtype=dtype,
            device=device,
            kernels=kernels,
            max_model_len=max_model_len,
            on_progress=partial(tell, "reading the weights"),
        )
        tell("making room for keys and values", 1.0)
        packed.keep()
        return_freed_memory()
        size = size_cache(config, model, max_model_len, kv_dtype, device, packed.mapped_bytes)
        cache = make_cache(model, size.num_blocks + 1, config.block_size, kv_dtype, device)
    runner = TorchRunner(decoder, cache, _grammars(config, model.vocab_size), config.logprobs_mode)
    tell("warming up", 1.0)
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
        dtype=_name(dtype),
        kv_cache_dtype=_name(kv_dtype),
        threads=threads,
        kernels=kernels.name,
        load_seconds=time.perf_counter() - began,
        weights=_kept(_name(dtype) if quantization == "none" else quantization, packed, why),
    )
    log.debug("%s", loaded)
    return runner, loaded


def _prepare_process(config: EngineConfig) -> int:
    """How many threads are to compute, and settings of the process that cannot be taken back."""
    no_threads_between_operations()
    keep_freed_memory()
    return config.threads or usable_cores()


def _grammars(config: EngineConfig, vocab_size: int) -> Grammars:
    folder = Path(config.tokenizer_path or config.model_path)
    return Grammars(partial(read_tokenizer, folder, config.tokenizer_mode), vocab_size)


def _check_block_size(config: EngineConfig, kernels: Kernels) -> None:
    if config.block_size % kernels.block_multiple:
        raise ConfigError(
            f"block_size is {config.block_size}; with this machine's kernels ({kernels.name}) it must be a multiple "
            f"of {kernels.block_multiple}. Or choose kernels torch."
        )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _kept(weight_format: str, packed: PackedWeights, why: str) -> str:
    return f"{weight_format}{' from the cache' if packed.all_mapped else ''} ({why})"


def _warm_up(runner: TorchRunner) -> None:
    """Run a short prompt and one decode in the padding block: the first request does not pay for first calls."""
    params = TokenParams(max_tokens=1, seed=0, temperature=1.0, top_k=1)
    tokens = [0] * min(8, runner.cache.block_size)
    for token_ids, start in ((tokens, 0), ([0], len(tokens) - 1)):
        draw = Draw(params, choice=0, position=0, prompt_ids=tokens, output_ids=[])
        runner.run(StepPlan([Row(sequence_id=0, token_ids=token_ids, start=start, blocks=[0], draw=draw)]))
