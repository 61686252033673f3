"""How tokens are to be drawn: as asked by a person (`SamplingParams`) and as the engine obeys it (`TokenParams`)."""

from __future__ import annotations

import math

import msgspec

from portico.errors import RequestError

MAX_STOP_STRINGS = 16
MAX_CHOICES = 128


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True):
    """What a request may ask of generation; None means the model's own default (generation_config.json), then neutral.

    `temperature` 0 is greedy. `top_k` 0 or -1 keeps the whole vocabulary. `presence_penalty` and `frequency_penalty`
    look at the tokens generated so far; `repetition_penalty` looks at prompt and generated tokens alike (Keskar et al.
    2019, arXiv:1909.05858). `max_tokens` None means what is left of the context. The same `seed` gives the same tokens
    whatever else the server does.
    """

    n: int = 1
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False

    def validate(self) -> None:
        """Raise RequestError, naming the field and its range, at the first value out of range."""
        _require(1 <= self.n <= MAX_CHOICES, "n", self.n, f"from 1 to {MAX_CHOICES}")
        if self.max_tokens is not None:
            _require(self.max_tokens >= 1, "max_tokens", self.max_tokens, "at least 1")
        _require_range("temperature", self.temperature, 0.0, 2.0)
        _require_range("top_p", self.top_p, 0.0, 1.0, open_low=True)
        _require_range("min_p", self.min_p, 0.0, 1.0)
        if self.top_k is not None:
            _require(self.top_k >= -1, "top_k", self.top_k, "-1 or 0 (all tokens), or at least 1")
        _require_range("presence_penalty", self.presence_penalty, -2.0, 2.0)
        _require_range("frequency_penalty", self.frequency_penalty, -2.0, 2.0)
        _require_range("repetition_penalty", self.repetition_penalty, 0.0, math.inf, open_low=True)
        if self.seed is not None:
            _require(-(2**63) <= self.seed < 2**64, "seed", self.seed, "a 64-bit integer")
        _require(len(self.stop) <= MAX_STOP_STRINGS, "stop", len(self.stop), f"at most {MAX_STOP_STRINGS} strings")
        _require(all(self.stop), "stop", "''", "non-empty strings")


class TokenParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of a request's wishes that the engine obeys: every value resolved, tokens only, no text."""

    max_tokens: int
    seed: int
    """64-bit unsigned; the draw for output position p of choice c depends on (seed, c, p) alone."""
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    """0 keeps the whole vocabulary."""
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    stop_token_ids: tuple[int, ...] = ()
    """Tokens that end the sequence; empty when the request ignores end-of-sequence."""


def _require(holds: bool, field: str, value: object, right: str) -> None:
    if not holds:
        raise RequestError(f"{field} is {value}; it must be {right}.", param=field, code="invalid_value")


def _require_range(field: str, value: float | None, low: float, high: float, *, open_low: bool = False) -> None:
    if value is None:
        return
    above = value > low if open_low else value >= low
    bound = f"above {low:g}" if open_low else f"at least {low:g}"
    right = bound if math.isinf(high) else f"{bound} and at most {high:g}"
    _require(math.isfinite(value) and above and value <= high, field, value, right)
