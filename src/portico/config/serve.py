"""The options of `portico serve`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import cast

from portico.config.cache import WEIGHTS_CACHE_BYTES, weights_cache_folder
from portico.config.engine import DtypeName, EngineConfig, LogprobsMode, QuantizationName
from portico.config.option import (
    option,
    parse_count,
    parse_port,
    parse_positive,
    parse_seconds,
    parse_size,
    parse_switch,
)
from portico.config.text import TextOptions, TokenizerMode

SERVER = "server"
MODEL = "model"
ENGINE = "engine"
DTYPES = ("auto", "float32", "bfloat16", "float16")
LOGPROBS_MODES = ("raw_logprobs", "raw_logits", "processed_logprobs", "processed_logits")
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What a server runs, where it listens, and what the engine may use."""

    host: str = option("127.0.0.1", "address to listen at", group=SERVER)
    port: int = option(8000, "port to listen at; 0 takes a free one", group=SERVER, parse=parse_port)
    api_key: tuple[str, ...] = option(
        (), "key that clients must send as 'Authorization: Bearer KEY'; may be given several times",
        group=SERVER, repeated=True, metavar="KEY",
    )  # fmt: skip
    drain_timeout: float = option(
        5.0, "seconds that running requests get to finish at Ctrl-C or SIGTERM",
        group=SERVER, parse=parse_seconds, metavar="SECONDS",
    )  # fmt: skip
    max_logprobs: int = option(
        20, "likeliest tokens that 'logprobs' of a completion may ask for", group=SERVER, parse=parse_count, metavar="N"
    )
    max_sessions: int = option(
        1000, "conversations kept for each API key, for clients that send only what is new; with one more, that which "
        "was used longest ago is forgotten",
        group=SERVER, parse=parse_positive, metavar="N",
    )  # fmt: skip
    session_idle: float = option(
        86400.0, "seconds without use after which a conversation is forgotten; 0: never",
        group=SERVER, parse=parse_seconds, metavar="SECONDS",
    )  # fmt: skip
    session_store: str = option(
        "auto", "where conversations are kept: sqlite:///PATH, memory:, redis://HOST:PORT/N, "
        "postgresql://USER@HOST/DATABASE, or auto (a SQLite file in PORTICO_DATA_DIR, else in portico in the user's "
        "data directory)",
        group=SERVER, metavar="URL",
    )  # fmt: skip
    log_level: str = option("info", "how much to log", group=SERVER, choices=LOG_LEVELS)
    logprobs_mode: str = option(
        "raw_logprobs", "what 'logprobs' reports: of the model's own distribution (raw), or of the one that is drawn "
        "from (processed: after penalties, temperature and filters); log-probabilities, or logits in their place",
        group=ENGINE, choices=LOGPROBS_MODES,
    )  # fmt: skip
    quantization: str = option(
        "auto", "keep weights in 8 or 4 bits: less memory, faster decoding, slightly different answers; auto is none "
        "unless the memory cannot hold that, then int8, then int4",
        group=MODEL, choices=("auto", "none", "int8", "int4"),
    )  # fmt: skip
    weights_cache: str = option(
        "auto", "where quantised weights are kept for a quick next start: a folder, auto (PORTICO_CACHE_DIR, else "
        "portico in the user's cache directory), or off",
        group=MODEL, metavar="DIR",
    )  # fmt: skip
    weights_cache_size: int | None = option(
        None, "how much they may take there, as 512MiB or 4GiB; what was used longest ago is removed (default: 20GiB)",
        group=MODEL, parse=parse_size, metavar="SIZE",
    )  # fmt: skip
    served_model_name: tuple[str, ...] = option(
        (), "name under which clients ask for the model; several make aliases (default: MODEL as given)",
        group=MODEL, repeated=True, metavar="NAME",
    )  # fmt: skip
    tokenizer: str | None = option(
        None, "folder or hub id of the tokenizer and chat template (default: the model's)", group=MODEL, metavar="WHERE"
    )
    tokenizer_mode: str = option(
        "auto", "auto: tokenizer.json, else what there is; slow: rather tokenizer.model or *.tiktoken",
        group=MODEL, choices=("auto", "slow"),
    )  # fmt: skip
    chat_template: str | None = option(
        None, "chat template in place of the model's: a file, Jinja itself, or a built-in name (alpaca, chatml, "
        "deepseek, gemma, llama-2, llama-3, mistral, phi-3, vicuna, zephyr)",
        group=MODEL, metavar="TEMPLATE",
    )  # fmt: skip
    trust_request_chat_template: bool = option(
        False, "let requests bring their own chat_template, a program that runs in a sandbox", group=SERVER,
        parse=parse_switch,
    )  # fmt: skip
    tool_call_parser: str = option(
        "auto", "how the model writes tool calls: a name (hermes, llama3_json, mistral, …), auto (as its chat template "
        "says), none, or an own parser as module:ATTRIBUTE or FILE.py:ATTRIBUTE",
        group=MODEL, metavar="NAME",
    )  # fmt: skip
    reasoning_parser: str = option(
        "auto", "how the model marks its thinking: a name (qwen3, deepseek_r1, granite, …), auto (as its chat template "
        "says), none, or an own parser as module:ATTRIBUTE or FILE.py:ATTRIBUTE",
        group=MODEL, metavar="NAME",
    )  # fmt: skip
    max_model_len: int | None = option(
        None, "tokens of prompt and answer together (default: as the model's config.json says)",
        group=MODEL, parse=parse_positive, metavar="TOKENS",
    )  # fmt: skip
    dtype: str = option(
        "auto", "number format to compute in; auto is the checkpoint's own", group=MODEL, choices=DTYPES
    )
    device: str = option("auto", "where to compute: auto, cpu, cuda, cuda:1, mps", group=ENGINE)
    max_num_seqs: int = option(
        128, "sequences that run at the same time", group=ENGINE, parse=parse_positive, metavar="N"
    )
    max_num_batched_tokens: int | None = option(
        None, "tokens computed in one step: decoding streams first, the rest for chunks of prompts",
        group=ENGINE, parse=parse_positive, metavar="TOKENS",
    )  # fmt: skip
    kv_cache_memory: int | None = option(
        None, "memory for keys and values, as 512MiB or 4GiB (default: from what is free)",
        group=ENGINE, parse=parse_size, metavar="SIZE",
    )  # fmt: skip
    block_size: int = option(
        16, "tokens in a block of the KV cache", group=ENGINE, parse=parse_positive, metavar="TOKENS"
    )
    threads: int | None = option(
        None, "CPU threads of the engine (default: the physical cores it may use)",
        group=ENGINE, parse=parse_positive, metavar="N",
    )  # fmt: skip
    kernels: str = option(
        "auto", "torch: only the plain-torch twins of the fast paths; or the native ones for one instruction set",
        group=ENGINE, choices=("auto", "torch", "amx", "avx512-bf16", "avx2", "baseline"),
    )  # fmt: skip

    def text(self, tokenizer: str | None = None, chat_template: str | None = None) -> TextOptions:
        """What the text side is to be told; the tokenizer's folder and the template's source as they were found."""
        return TextOptions(
            tokenizer=tokenizer,
            tokenizer_mode=cast(TokenizerMode, self.tokenizer_mode),
            chat_template=chat_template,
            trust_request_templates=self.trust_request_chat_template,
            tool_call_parser=self.tool_call_parser,
            reasoning_parser=self.reasoning_parser,
        )

    def engine(self, model_path: str, tokenizer_path: str | None = None) -> EngineConfig:
        """What the engine process is to be told."""
        return EngineConfig(
            model_path=model_path,
            tokenizer_path=tokenizer_path,
            tokenizer_mode=cast(TokenizerMode, self.tokenizer_mode),
            dtype=cast(DtypeName, self.dtype),
            device=self.device,
            max_model_len=self.max_model_len,
            max_num_seqs=self.max_num_seqs,
            max_num_batched_tokens=self.max_num_batched_tokens,
            kv_cache_memory=self.kv_cache_memory,
            block_size=self.block_size,
            threads=self.threads,
            kernels=self.kernels,
            logprobs_mode=cast(LogprobsMode, self.logprobs_mode),
            quantization=cast(QuantizationName, self.quantization),
            weights_cache=weights_cache_folder(self.weights_cache, os.environ),
            weights_cache_size=(WEIGHTS_CACHE_BYTES if self.weights_cache_size is None else self.weights_cache_size),
            log_level=self.log_level,
        )
