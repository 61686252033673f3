"""Every figure of /metrics that has more than one name, declared once: names, meaning, and where it comes from.

vLLM's names, labels and bounds are those of its `vllm/v1/metrics/loggers.py`, so that what reads them (its Grafana
dashboards, the Gateway API inference extension, llm-d) reads Portico's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from portico.protocol.messages import EngineStats
from portico.server.metrics.families import Names
from portico.server.metrics.figures import Timeline

FIRST_TOKEN_SECONDS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0,
    640.0, 2560.0,
)  # fmt: skip
TOKEN_SECONDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
    40.0, 80.0,
)  # fmt: skip
"""vLLM's begin at 0.01."""
REQUEST_SECONDS = (
    0.01, 0.05, 0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0,
    480.0, 960.0, 1920.0, 7680.0,
)  # fmt: skip
"""vLLM's begin at 0.3."""
TOKENS = (*(digit * 10**exponent for exponent in range(6) for digit in (1, 2, 5)), 10**6)
STEP_TOKENS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the engine says of itself, read when somebody asks."""

    names: Names
    kind: Literal["gauge", "counter"]
    help: str
    of: Callable[[EngineStats], float]


@dataclass(frozen=True, slots=True)
class Spread:
    """What is told of each request at its end; None of those that have no such thing."""

    names: Names
    help: str
    bounds: tuple[float, ...]
    of: Callable[[Timeline], float | None]


def _used(stats: EngineStats) -> float:
    return stats.blocks_used / stats.blocks_total if stats.blocks_total else 0.0


def _first(request: Timeline) -> float | None:
    return None if request.first is None else request.prefill_seconds


def _mean_gap(request: Timeline) -> float | None:
    return request.decode_seconds / request.decode_tokens if request.decode_tokens > 0 else None


READINGS = (
    Reading(Names("num_requests_running", ("num_requests_running",)), "gauge",
            "Sequences that are computed.", lambda stats: stats.running),
    Reading(Names("num_requests_waiting", ("num_requests_waiting",)), "gauge",
            "Sequences that wait for room.", lambda stats: stats.waiting),
    Reading(Names("kv_cache_usage", ("kv_cache_usage_perc", "gpu_cache_usage_perc")), "gauge",
            "Share of the blocks for keys and values that is in use, 0 to 1.", _used),
    Reading(Names("engine_steps"), "counter", "Steps of the engine.", lambda stats: stats.steps),
    Reading(Names("preemptions", ("num_preemptions",)), "counter",
            "Sequences that gave way and were computed again.", lambda stats: stats.preemptions),
    Reading(Names("prompt_tokens", ("prompt_tokens", "prefix_cache_queries", "gpu_prefix_cache_queries")), "counter",
            "Tokens of prompts.", lambda stats: stats.prompt_tokens),
    Reading(Names("cached_prompt_tokens", ("prompt_tokens_cached", "prefix_cache_hits", "gpu_prefix_cache_hits")),
            "counter", "Those of them that were known already.", lambda stats: stats.cached_tokens),
    Reading(Names("generation_tokens", ("generation_tokens",)), "counter",
            "Tokens that were drawn.", lambda stats: stats.generated_tokens),
)  # fmt: skip

SPREADS = (
    Spread(Names("time_to_first_token_seconds", ("time_to_first_token_seconds",)),
           "Until a request's first token.", FIRST_TOKEN_SECONDS, _first),
    Spread(Names("time_per_output_token_seconds", ("request_time_per_output_token_seconds",)),
           "Between tokens, the mean of each request.", TOKEN_SECONDS, _mean_gap),
    Spread(Names("request_seconds", ("e2e_request_latency_seconds",)),
           "Until a request's end.", REQUEST_SECONDS, lambda request: request.seconds),
    Spread(Names("request_queue_seconds", ("request_queue_time_seconds",)),
           "Until the engine gave a request its place.", REQUEST_SECONDS, lambda request: request.queue_seconds),
    Spread(Names(None, ("request_prefill_time_seconds",)),
           "From a request's place to its first token.", REQUEST_SECONDS, lambda request: request.computing_seconds),
    Spread(Names(None, ("request_decode_time_seconds",)), "From a request's first token to its last.", REQUEST_SECONDS,
           lambda request: None if request.first is None else request.decode_seconds),
    Spread(Names(None, ("request_inference_time_seconds",)),
           "From a request's place to its last token.", REQUEST_SECONDS, lambda request: request.inference_seconds),
    Spread(Names("request_prompt_tokens", ("request_prompt_tokens",)),
           "Tokens of a request's prompt.", TOKENS, lambda request: request.prompt_tokens),
    Spread(Names(None, ("request_prefill_kv_computed_tokens",)),
           "Those of them that had to be computed.", TOKENS, lambda request: request.prefill_tokens),
    Spread(Names("request_generation_tokens", ("request_generation_tokens",)), "Tokens that a request gave.", TOKENS,
           lambda request: None if request.first is None else request.tokens),
    Spread(Names(None, ("request_max_num_generation_tokens",)), "Tokens of a request's longest choice.", TOKENS,
           lambda request: max(request.lengths.values(), default=None)),
    Spread(Names(None, ("request_params_n",)),
           "Choices that a request asked for.", (1, 2, 5, 10, 20), lambda request: request.choices),
    Spread(Names(None, ("request_params_max_tokens",)),
           "Tokens that each choice of a request might have.", TOKENS, lambda request: request.max_tokens),
)  # fmt: skip

GAPS = Names("inter_token_latency_seconds", ("inter_token_latency_seconds", "time_per_output_token_seconds"))
STEPS = Names("step_tokens", ("iteration_tokens_total",))
ENDS = Names("requests")
"""By `reason`."""
VLLM_ENDS = Names(None, ("request_success",))
"""By `finished_reason`."""
