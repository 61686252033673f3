"""The engine alone, in this process: prefill, decode, and what a long prompt does to running streams."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from portico.engine.engine import Engine
from portico.protocol.messages import Add
from portico.protocol.sampling import Grammar, Guided, TokenParams
from portico.text.grammar import compile_grammar

PROMPT = 128
DECODED = 48


@dataclass(slots=True)
class Driver:
    """Feeds an engine requests of known length whose tokens nobody else has asked for, so that no prefix is shared."""

    engine: Engine
    vocabulary: int
    made: int = 0

    def add(self, prompt_tokens: int, new_tokens: int, **wishes: Any) -> str:
        self.made += 1
        prompt = [(self.made * 7919 + i * 104729) % self.vocabulary for i in range(prompt_tokens)]
        params = {"temperature": 0.0, "seed": self.made} | wishes
        self.engine.add(Add(str(self.made), prompt, TokenParams(max_tokens=new_tokens, **params)))
        return str(self.made)

    def finish(self) -> None:
        while self.engine.has_work:
            self.engine.step()


def prefill(driver: Driver, tokens: int = 1024) -> float:
    """Prompt tokens a second, alone."""
    driver.add(tokens, 1)
    start = time.perf_counter()
    driver.finish()
    return tokens / (time.perf_counter() - start)


def decode(driver: Driver, sequences: int) -> float:
    """New tokens a second of `sequences` streams together, prompts of 128 tokens already read."""
    waiting = {driver.add(PROMPT, DECODED) for _ in range(sequences)}
    while waiting:
        waiting -= {event.request_id for event in driver.engine.step().events}
    start = time.perf_counter()
    tokens = 0
    while driver.engine.stats().running == sequences and driver.engine.has_work:
        tokens += sum(len(event.token_ids) for event in driver.engine.step().events)
    seconds = time.perf_counter() - start
    driver.finish()
    return tokens / seconds


EVERYTHING: dict[str, Any] = {
    "temperature": 1.0,
    "top_k": 40,
    "top_p": 0.9,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "repetition_penalty": 1.1,
    "logprobs": 5,
}


def wishes_cost(driver: Driver, repeat: int) -> dict[str, float]:
    """Median time of a token of 32 streams that wish for much, as a ratio to that of greedy ones; taken in turns."""
    kinds = {
        "greedy": [{}] * 32,
        "every sampling wish and logprobs 5": [EVERYTHING] * 32,
        "32 different JSON schemas": [{"grammar": _grammar(number)} for number in range(32)],
    }
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(repeat):
        for name, wishes in kinds.items():
            seconds[name].append(_seconds_per_token(driver, wishes))
    usual = statistics.median(seconds.pop("greedy"))
    return {name: statistics.median(times) / usual for name, times in seconds.items()}


def _seconds_per_token(driver: Driver, wishes: Sequence[dict[str, Any]]) -> float:
    waiting = {driver.add(PROMPT, DECODED, **wish) for wish in wishes}
    while waiting:
        waiting -= {event.request_id for event in driver.engine.step().events}
    start = time.perf_counter()
    before = driver.engine.stats().generated_tokens
    while driver.engine.stats().running == len(wishes) and driver.engine.has_work:
        driver.engine.step()
    seconds, tokens = time.perf_counter() - start, driver.engine.stats().generated_tokens - before
    driver.finish()
    return seconds / tokens


def _grammar(number: int) -> Grammar:
    """A schema like no other, whose answers do not end within the benchmark."""
    schema = {
        "type": "object",
        "properties": {
            f"name{number}": {"type": "string", "minLength": 40},
            "tags": {"type": "array", "items": {"enum": ["red", "green", f"blue{number}"]}, "minItems": 500},
        },
        "required": [f"name{number}", "tags"],
    }
    return Grammar(compile_grammar(Guided(kind="json", value=json.dumps(schema))), ())


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a 1024-token prompt meets, and does, when it arrives among 8 running streams; in seconds."""

    first_token: float
    longest_gap: float
    usual_gap: float


def under_load(driver: Driver) -> Loaded:
    """Time to the first token of a 1024-token prompt under load, and the longest pause of the streams meanwhile."""
    waiting = {driver.add(PROMPT, 160) for _ in range(8)}
    while waiting:
        waiting -= {event.request_id for event in driver.engine.step().events}
    usual = min(_step_seconds(driver) for _ in range(8))
    late = driver.add(1024, 1)
    start = time.perf_counter()
    longest = 0.0
    while True:
        before = time.perf_counter()
        done = driver.engine.step()
        longest = max(longest, time.perf_counter() - before)
        if any(event.request_id == late for event in done.events):
            break
    first = time.perf_counter() - start
    driver.finish()
    return Loaded(first, longest, usual)


def _step_seconds(driver: Driver) -> float:
    start = time.perf_counter()
    driver.engine.step()
    return time.perf_counter() - start
