"""How long sequences may get and how many KV blocks there are, from what is asked and what the memory holds."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

import torch

from portico.config.engine import EngineConfig
from portico.errors import ConfigError
from portico.model.cache import bytes_per_block
from portico.model.config import ModelConfig
from portico.run.machine import available_memory, total_memory

log = logging.getLogger(__name__)

_CPU_SHARE = 0.4
"""Of the memory that is available once the weights are loaded."""
_CUDA_SHARE = 0.9
_CUDA_HEADROOM = 1 << 30
"""Bytes left for activations and torch's own buffers."""


@dataclass(frozen=True, slots=True)
class CacheSize:
    """What the KV cache ended up with."""

    max_model_len: int
    num_blocks: int
    """Usable ones: the padding block comes on top."""


def wanted_model_len(config: EngineConfig, model: ModelConfig) -> int:
    """The length asked for, or the model's, if all keys and values may be so many; ConfigError beyond the model's."""
    length = _model_len(config, model)
    if config.kv_cache_tokens is not None and config.kv_cache_tokens < length:
        log.warning("kv_cache_tokens is %d, so max_model_len is that instead of %d.", config.kv_cache_tokens, length)
        return config.kv_cache_tokens
    return length


def _model_len(config: EngineConfig, model: ModelConfig) -> int:
    if config.max_model_len is None:
        if config.longest_context is not None and config.longest_context < model.default_model_len:
            log.info(
                "max_model_len is %d, as the mode has it; ask for up to %d.",
                config.longest_context,
                model.max_model_len,
            )
            return config.longest_context
        if model.default_model_len < model.max_model_len:
            log.info(
                "The model is trained for %d tokens; max_model_len up to %d stretches it by dynamic NTK scaling.",
                model.default_model_len,
                model.max_model_len,
            )
        return model.default_model_len
    if config.max_model_len > model.max_model_len:
        raise ConfigError(
            f"max_model_len is {config.max_model_len}; this model's positions end at {model.max_model_len}."
        )
    return config.max_model_len


def size_cache(
    config: EngineConfig,
    model: ModelConfig,
    max_model_len: int,
    kv_dtype: torch.dtype,
    device: torch.device,
    mapped_bytes: int = 0,
) -> CacheSize:
    """As many blocks in `kv_dtype` as are of use and fit beside the weights, of which `mapped_bytes` are a file's.

    Raises ConfigError if a length that was asked for does not fit once.
    """
    per_block = bytes_per_block(model, config.block_size, kv_dtype)
    budget = kv_budget(config, device, mapped_bytes)
    fitting = budget // per_block - 1
    one_sequence = math.ceil(max_model_len / config.block_size)
    if fitting < one_sequence:
        return _too_small(config, max_model_len, fitting, one_sequence, per_block, budget)
    useful = one_sequence if config.one_context else config.max_num_seqs * one_sequence
    if config.kv_cache_tokens is not None:
        useful = math.ceil(config.kv_cache_tokens / config.block_size)
    return CacheSize(max_model_len, min(fitting, useful))


def kv_budget(config: EngineConfig, device: torch.device, taken: int) -> int:
    """Bytes for keys and values, by the measure that was given; `taken` are those that count as free and are not."""
    if config.kv_cache_memory is not None:
        return config.kv_cache_memory
    if config.kv_cache_share is None and config.memory_share is None:
        return cache_budget(device, taken)
    free, total = free_memory(device)
    free, reserve = free - taken, _CUDA_HEADROOM if device.type == "cuda" else 0
    if config.kv_cache_share is not None:
        return max(0, int(free * config.kv_cache_share))
    assert config.memory_share is not None
    return max(0, int(total * config.memory_share) - (total - free) - reserve)


def free_memory(device: torch.device) -> tuple[int, int]:
    """Bytes that are free on a device now, and all that it has."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return free, total
    return available_memory(), total_memory()


def _too_small(
    config: EngineConfig, max_model_len: int, fitting: int, one_sequence: int, per_block: int, budget: int
) -> CacheSize:
    fits = fitting * config.block_size
    if config.max_model_len is not None or fitting < 1:
        raise ConfigError(
            f"max_model_len {max_model_len} needs {(one_sequence + 1) * per_block} bytes for keys and values and there "
            f"are {budget}, enough for {max(fits, 0)} tokens: lower max_model_len or raise {_measure(config)}."
        )
    log.warning(
        "Memory for keys and values holds %d tokens; max_model_len is %d instead of %d.", fits, fits, max_model_len
    )
    return CacheSize(fits, fitting)


def _measure(config: EngineConfig) -> str:
    if config.kv_cache_memory is None and config.kv_cache_share is not None:
        return "cache_max_entry_count"
    if config.kv_cache_memory is None and config.memory_share is not None:
        return "gpu_memory_utilization"
    return "kv_cache_memory"


def cache_budget(device: torch.device, mapped_bytes: int = 0) -> int:
    """Bytes for keys and values when nobody says how many; call it once the weights are loaded.

    The system counts `mapped_bytes` as available, for it could read them again; a step that waits for that is no use.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return max(0, int((free - mapped_bytes) * _CUDA_SHARE) - _CUDA_HEADROOM)
    return int(max(0, available_memory() - mapped_bytes) * _CPU_SHARE)
