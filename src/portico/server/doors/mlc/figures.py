"""Figures by MLC LLM's names, and in MLC-Chat's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portico.server.metrics.figures import Figures, Timeline, speed


def engine_metrics(figures: Figures) -> dict[str, Any]:
    """What MLC LLM calls the engine's metrics; where requests ran side by side, their times are added up."""
    told: dict[str, Any] = {
        "engine_prefill_time_sum": figures.prefill_seconds,
        "engine_decode_time_sum": figures.decode_seconds,
        "prompt_tokens_sum": figures.prompt_tokens,
        "completion_tokens_sum": figures.completion_tokens,
        "prefill_tokens_sum": figures.prefill_tokens,
        "decode_tokens_sum": figures.decode_tokens,
        **_speeds(figures),
    }
    if figures.last is not None:
        told["last_finished_request"] = request_metrics(figures.last)
    return told


def request_metrics(request: Timeline) -> dict[str, float]:
    """What it calls the metrics of a request."""
    told: dict[str, float] = {
        "prompt_tokens": request.prompt_tokens,
        "completion_tokens": request.tokens,
        "prefill_tokens": request.prefill_tokens,
        "decode_tokens": request.decode_tokens,
        **_speeds(request),
        "end_to_end_latency_s": request.seconds,
        "ttft_s": request.prefill_seconds,
    }
    if request.tokens:
        told["inter_token_latency_s"] = request.seconds / request.tokens
    return told


def flat(figures: Figures) -> Mapping[str, float]:
    """The same in one level, as GET /metrics has them."""
    told: dict[str, float] = {}
    for name, value in engine_metrics(figures).items():
        told |= {f"{name}_{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {name: value}
    return told


def stats(figures: Figures) -> str:
    """MLC-Chat's line; nan where nothing has run yet."""
    prefill, decode = speed(*_prefill(figures)), speed(*_decode(figures))
    return f"prefill: {prefill:.1f} tok/s, decode: {decode:.1f} tok/s"


def verbose_stats(figures: Figures) -> str:
    """The same at length."""
    parts = {"----------- prefill -----------": _prefill(figures), "------------ decode ------------": _decode(figures)}
    return "".join(
        f"{title}\nthroughput: {speed(tokens, seconds):.3f} tok/s\ntotal tokens: {tokens} tok\n"
        f"total time: {seconds:.3f} s\n"
        for title, (tokens, seconds) in parts.items()
    )


def _speeds(figures: Figures | Timeline) -> dict[str, float]:
    """Without those that nothing is known of: nan is no JSON."""
    measured = {"prefill_tokens_per_s": _prefill(figures), "decode_tokens_per_s": _decode(figures)}
    return {name: speed(tokens, seconds) for name, (tokens, seconds) in measured.items() if seconds > 0}


def _prefill(figures: Figures | Timeline) -> tuple[int, float]:
    return figures.prefill_tokens, figures.prefill_seconds


def _decode(figures: Figures | Timeline) -> tuple[int, float]:
    return figures.decode_tokens, figures.decode_seconds
