"""The options of `portico serve`: all of them, and what becomes of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, cast, get_type_hints

from portico.config.cache import WEIGHTS_CACHE_BYTES, weights_cache_folder
from portico.config.compat import TextHabits
from portico.config.engine import DtypeName, EngineConfig, KVDtypeName, LogprobsMode, QuantizationName
from portico.config.file import from_file
from portico.config.given import Given, Source, from_environment, settle
from portico.config.modes import MODES
from portico.config.option import Option, declared
from portico.config.options.compute import ComputeOptions
from portico.config.options.http import HttpOptions
from portico.config.options.idle import IDLE
from portico.config.options.limited import LIMITED
from portico.config.options.model import NO_DEFAULTS, ModelOptions
from portico.config.options.sessions import SessionOptions
from portico.config.overrides import expand
from portico.config.queue import QueueLimits
from portico.config.text import TextOptions, TokenizerMode
from portico.config.tls import TlsFiles, tls_files
from portico.errors import ConfigError
from portico.logs import LogFormat

MEASURES = ("kv_cache_memory", "cache_max_entry_count", "gpu_memory_utilization")
"""Options of which one at most decides on the memory for keys and values."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What a server runs, where it listens, and what the engine may use."""

    http: HttpOptions = HttpOptions()  # noqa: RUF009 - frozen
    sessions: SessionOptions = SessionOptions()  # noqa: RUF009
    model: ModelOptions = ModelOptions()  # noqa: RUF009
    compute: ComputeOptions = ComputeOptions()  # noqa: RUF009

    def text(
        self,
        tokenizer: str | None = None,
        chat_template: str | None = None,
        stop_words: tuple[str, ...] = (),
        habits: TextHabits = TextHabits(),  # noqa: B008 - frozen
    ) -> TextOptions:
        """What the text side is to be told; the tokenizer's folder and the template as they were found."""
        model = self.model
        return TextOptions(
            tokenizer=tokenizer,
            tokenizer_mode=cast(TokenizerMode, model.tokenizer_mode),
            chat_template=chat_template,
            fallback_template=habits.chat_template,
            stop_words=stop_words,
            trust_request_templates=self.http.trust_request_chat_template,
            tool_call_parser=model.tool_call_parser,
            reasoning_parser=model.reasoning_parser,
            generation_config=None if model.generation_config.lower() in NO_DEFAULTS else model.generation_config,
            pooling=habits.pooling,
            generation_overrides=model.override_generation_config or {},
            seed=model.seed,
        )

    def engine(self, model_path: str, tokenizer_path: str | None = None) -> EngineConfig:
        """What the engine process is to be told."""
        model, compute = self.model, self.compute
        mode = MODES[compute.mode or "server"]
        return EngineConfig(
            model_path=model_path,
            tokenizer_path=tokenizer_path,
            tokenizer_mode=cast(TokenizerMode, model.tokenizer_mode),
            dtype=cast(DtypeName, model.dtype),
            device=compute.device,
            max_model_len=model.max_model_len,
            longest_context=mode.longest_context,
            one_context=mode.one_context,
            max_num_seqs=compute.sequences,
            max_num_batched_tokens=compute.max_num_batched_tokens,
            prefill_slowdown=compute.prefill_slowdown,
            kv_cache_memory=compute.kv_cache_memory,
            kv_cache_dtype=cast(KVDtypeName, compute.kv_cache_dtype),
            kv_cache_tokens=compute.most_tokens(),
            kv_cache_share=compute.cache_max_entry_count,
            memory_share=compute.gpu_memory_utilization,
            block_size=compute.block_size,
            reuse_prefixes=compute.enable_prefix_caching,
            threads=compute.threads,
            kernels=compute.kernels,
            logprobs_mode=cast(LogprobsMode, compute.logprobs_mode),
            quantization=cast(QuantizationName, model.quantization),
            weights_cache=weights_cache_folder(model.weights_cache, os.environ),
            weights_cache_size=(WEIGHTS_CACHE_BYTES if model.weights_cache_size is None else model.weights_cache_size),
            log_level=self.http.log_level,
            log_format=cast(LogFormat, self.http.log_format),
        )

    def queue(self) -> QueueLimits:
        """How many requests are taken at a time."""
        running = self.compute.sequences
        return QueueLimits(running + self.http.max_queue, running, self.http.max_queue_tokens)

    def tls(self, environ: Mapping[str, str]) -> TlsFiles | None:
        """What to speak HTTPS with, if it is to be; ConfigError if a file is missing."""
        http = self.http
        return tls_files(
            http.ssl_keyfile,
            http.ssl_certfile,
            environ,
            wanted=http.ssl,
            password=http.ssl_keyfile_password,
            ca_certs=http.ssl_ca_certs,
            cert_reqs=http.ssl_cert_reqs,
        )


@dataclass(frozen=True, slots=True)
class Settled:
    """What flags, environment and file come to."""

    options: ServeOptions
    without_effect: tuple[str, ...]
    """A sentence for each option that was given and can do nothing here."""


@cache
def serve_options() -> tuple[Option, ...]:
    """Every option, those of other servers that do nothing or little here at the end."""
    return (*declared(ServeOptions), *LIMITED, *IDLE)


def settle_serve(
    flags: Source,
    environ: Mapping[str, str],
    config_file: str | None = None,
    defaults: Mapping[str, str] | None = None,
) -> Settled:
    """The options as the flags, then the environment, then the file, then the way of starting has them.

    Raises ConfigError naming the place and what would be right.
    """
    options = serve_options()
    sources = [flags, from_environment(options, environ)]
    if config_file is not None:
        sources.append(from_file(options, config_file))
    sources = [expand(source) for source in sources]
    sources.append({name: Given(name, (text,)) for name, text in (defaults or {}).items()})
    sources = _one_measure(sources)
    values = settle(options, sources)
    idle = [option for option in options if option.spec.idle is not None and option.name in values]
    return Settled(_built(ServeOptions, values), tuple(_excuse(option, sources) for option in idle))


def _one_measure(sources: Sequence[Source]) -> list[Source]:
    """The sources without measures of the memory for keys and values that an earlier source has its own for."""
    measured = next((source for source in sources if any(name in source for name in MEASURES)), None)
    if measured is None:
        return list(sources)
    given = [measured[name].where for name in MEASURES if name in measured]
    if len(given) > 1:
        raise ConfigError(f"{given[0]} and {given[1]} measure the same memory; give one of them.")
    return [
        source if source is measured else {name: given for name, given in source.items() if name not in MEASURES}
        for source in sources
    ]


def _built(cls: type[Any], values: Mapping[str, Any]) -> Any:
    types = get_type_hints(cls)
    return cls(
        **{
            f.name: values[f.name] if "option" in f.metadata else _built(types[f.name], values)
            for f in fields(cls)
            if f.name in values or "option" not in f.metadata
        }
    )


def _excuse(option: Option, sources: Sequence[Source]) -> str:
    where = next(source[option.name].where for source in sources if option.name in source)
    return f"{where} has no effect here: {option.spec.idle}."
