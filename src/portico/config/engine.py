"""What the engine process is told at its start."""

from __future__ import annotations

from typing import Literal

import msgspec

from portico.config.cache import WEIGHTS_CACHE_BYTES
from portico.config.text import TokenizerMode
from portico.logs import LogFormat

LogprobsMode = Literal["raw_logprobs", "raw_logits", "processed_logprobs", "processed_logits"]
QuantizationName = Literal["auto", "none", "int8", "int4"]
DtypeName = Literal["auto", "float32", "bfloat16", "float16"]
KVDtypeName = Literal["auto", "bfloat16", "float16", "float32", "int8"]


class EngineConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the engine needs to know; 0 or None means: derive it from the model and the machine."""

    model_path: str
    """A local folder with config.json and safetensors."""
    tokenizer_path: str | None = None
    """The folder of the tokenizer, which grammars need; None: the model's."""
    tokenizer_mode: TokenizerMode = "auto"
    """slow prefers tokenizer.model to tokenizer.json."""
    dtype: DtypeName = "auto"
    device: str = "auto"
    """auto, cpu, cuda, cuda:i or mps (AMD's GPUs are cuda to torch)."""
    max_model_len: int | None = None
    """Tokens of prompt and answer together; None: what the model's config.json says, less if memory is short."""
    longest_context: int | None = None
    """Tokens that max_model_len is at most if nobody says what it is to be."""
    max_num_seqs: int = 128
    """Sequences that run at the same time."""
    max_num_batched_tokens: int | None = None
    """Tokens computed in one step at most: decodes first, the rest for chunks of prompts."""
    prefill_slowdown: float = 0.0
    """How many times as long as without prompts a step of running sequences may take; 0: prompts at full speed."""
    kv_cache_memory: int | None = None
    """Bytes for keys and values."""
    kv_cache_share: float | None = None
    """In its place: the share of the memory that is free once the weights are loaded."""
    memory_share: float | None = None
    """In its place: the share of the device's whole memory that all that is on it may fill."""
    kv_cache_tokens: int | None = None
    """Tokens that keys and values are kept of, at most."""
    one_context: bool = False
    """Whether one sequence of full length is the most that keys and values are kept of."""
    kv_cache_dtype: KVDtypeName = "auto"
    """What keys and values are kept in: auto, the dtype of the computation (by its name too), or int8."""
    block_size: int = 16
    """Tokens in a KV block."""
    reuse_prefixes: bool = True
    """Whether what is computed of a prompt is kept for others that begin alike."""
    threads: int | None = None
    """CPU threads of the engine; None: the physical cores this process may use."""
    kernels: str = "auto"
    """auto; torch: only the plain-torch twins of the fast paths; or the name of an instruction set."""
    logprobs_mode: LogprobsMode = "raw_logprobs"
    """What log-probabilities are of: the model's own distribution, or what is drawn from; or logits in their place."""
    quantization: QuantizationName = "auto"
    """Bits of the weights of all products; head and embedding have eight with int4 too; auto: none if it fits."""
    weights_cache: str | None = None
    """The folder in which packed weights are kept from one start to the next."""
    weights_cache_size: int = WEIGHTS_CACHE_BYTES
    """Bytes that they may take there."""
    log_level: str = "info"
    log_format: LogFormat = "text"
