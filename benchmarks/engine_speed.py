"""The engine alone, in this process: prefill, decode, and what a long prompt does to running streams."""

from __future__ import annotations

import time
from dataclasses import dataclass

from portico.engine.engine import Engine
from portico.protocol.messages import Add
from portico.protocol.sampling import TokenParams

PROMPT = 128
DECODED = 48


@dataclass(slots=True)
class Driver:
    """Feeds an engine requests of known length whose tokens nobody else has asked for, so that no prefix is shared."""

    engine: Engine
    vocabulary: int
    made: int = 0

    def add(self, prompt_tokens: int, new_tokens: int) -> str:
        self.made += 1
        prompt = [(self.made * 7919 + i * 104729) % self.vocabulary for i in range(prompt_tokens)]
        self.engine.add(Add(str(self.made), prompt, TokenParams(max_tokens=new_tokens, seed=0, temperature=0.0)))
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
