"""What a model needs in memory, reckoned from its config.json before anything of it is read."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from portico.config.engine import EngineConfig
from portico.config.values import size_text
from portico.errors import ConfigError
from portico.kernels.dispatch import Quantization, can_quantize
from portico.kernels.memory import HUGE
from portico.model.cache import bytes_per_block
from portico.model.config import ModelConfig
from portico.run.device import DTYPES
from portico.run.limits import free_memory, kv_budget
from portico.run.quantization import weight_bytes

FORMATS: tuple[Quantization, ...] = ("none", "int8", "int4")
FIRST_BYTES = 32 << 20
BYTES_PER_WORD = 640
"""Of the vocabulary as grammars know it, with both of those measured."""
LEAST_TOKENS = 256
"""Of prompt and answer, without which there is no use in serving."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes, of one model in one format."""

    weights: int
    first: int
    """What is taken once a first request has been answered: threads, a huge page of keys a layer, the vocabulary."""
    tables: int
    """Of rotary positions."""
    steps: int
    """Activations and logits of the largest step there can be."""
    per_token: int
    """Keys and values of one token."""

    @property
    def fixed(self) -> int:
        """All but keys and values."""
        return self.weights + self.first + self.tables + self.steps


@dataclass(frozen=True, slots=True)
class Case:
    """A model as it is to be run."""

    config: EngineConfig
    model: ModelConfig
    device: torch.device
    dtype: torch.dtype
    max_model_len: int
    batched_tokens: int

    def needs(self, quantization: Quantization, kv_dtype: torch.dtype) -> Needs:
        """What it takes with weights and with keys and values in these formats."""
        model = self.model
        weights = weight_bytes(model, quantization, self.dtype)
        if self.device.type != "cpu" and self.dtype is DTYPES[model.dtype]:  # there the embedding is no mapped file
            weights += model.vocab_size * model.hidden_size * self.dtype.itemsize
        heads = (model.num_heads + 2 * model.num_kv_heads) * model.head_dim
        widths = 3 * model.hidden_size + heads + 3 * model.intermediate_size
        logits = 2 * 4 * self.config.max_num_seqs * model.vocab_size
        return Needs(
            weights=weights,
            first=FIRST_BYTES + model.num_layers * HUGE + model.vocab_size * BYTES_PER_WORD,
            tables=2 * 4 * self.max_model_len * model.head_dim,
            steps=self.batched_tokens * widths * self.dtype.itemsize + logits,
            per_token=bytes_per_block(model, self.config.block_size, kv_dtype) // self.config.block_size,
        )

    def tokens_beside(self, needs: Needs) -> int:
        """Tokens whose keys and values fit beside all else, by the measure that is given for them."""
        free, _ = free_memory(self.device)
        budget = min(kv_budget(self.config, self.device, needs.fixed), free - needs.fixed)
        blocks = budget // (needs.per_token * self.config.block_size) - 1  # one is for padding
        return max(0, blocks * self.config.block_size)

    def wanted_tokens(self) -> int:
        """Tokens that must fit: the length that was asked for, else the fewest that are of use."""
        if self.config.max_model_len is not None:
            return self.max_model_len
        return min(self.max_model_len, LEAST_TOKENS)

    def problem(self, quantization: Quantization, kv_dtype: torch.dtype) -> str | None:
        """Why the memory is too little, in one line with the numbers and what to change; None if it is enough."""
        needs = self.needs(quantization, kv_dtype)
        free, _ = free_memory(self.device)
        asked, wanted = self.config.kv_cache_memory, self.wanted_tokens()
        tokens = self.tokens_beside(needs)
        too_much = asked is not None and asked > free - needs.fixed
        if tokens >= wanted and not too_much:
            return None
        cache = needs.per_token * (math.ceil(wanted / self.config.block_size) + 1) * self.config.block_size
        kept = _name(self.dtype) if quantization == "none" else quantization
        said = (
            f"too little memory: weights take {size_text(needs.weights)} ({kept}), "
            f"steps {size_text(needs.fixed - needs.weights)}, keys and values of {wanted} tokens {size_text(cache)}; "
            f"{size_text(free)} are available"
        )
        if asked is not None:
            said += f", and --kv-cache-memory is {size_text(asked)}"
        elif free - needs.fixed >= cache:
            budget = kv_budget(self.config, self.device, needs.fixed)
            said += f", of which keys and values may have {size_text(max(0, budget))}"
        return f"{said}. {self._remedy(quantization, kv_dtype, tokens, wanted)}"

    def _remedy(self, quantization: Quantization, kv_dtype: torch.dtype, tokens: int, wanted: int) -> str:
        """What to ask for instead."""
        needs, ways = self.needs(quantization, kv_dtype), []
        room, cache = free_memory(self.device)[0] - needs.fixed, needs.per_token * (wanted + 2 * self.config.block_size)
        if self.config.kv_cache_memory is not None and room >= cache:
            return f"What fits: --kv-cache-memory from {size_text(cache)} to {size_text(room)}."
        if self.config.max_model_len is not None and LEAST_TOKENS <= tokens < wanted:
            ways.append(f"--max-model-len {tokens}")
        if kv_dtype is not torch.int8 and self.tokens_beside(self.needs(quantization, torch.int8)) >= wanted:
            ways.append("--kv-cache-dtype int8")
        for name in FORMATS[FORMATS.index(quantization) + 1 :] if self.quantizes() else ():
            fewer = self.needs(name, kv_dtype)
            if self.tokens_beside(fewer) >= wanted:
                ways.append(f"--quantization {name} (weights {size_text(fewer.weights)})")
                break
        if room >= cache:
            ways.append(f"--kv-cache-memory from {size_text(cache)} to {size_text(room)}")
        return f"What fits: {'; or '.join(ways)}." if ways else "Free some memory, or take a smaller model."

    def quantizes(self) -> bool:
        """Whether weights of few bits run here."""
        return can_quantize(self.device, self.dtype, self.config.kernels)


def require_memory(case: Case, quantization: Quantization, kv_dtype: torch.dtype) -> None:
    """ConfigError, before weights are read, where the memory cannot hold what is asked for."""
    problem = case.problem(quantization, kv_dtype)
    if problem is not None:
        raise ConfigError(problem)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
