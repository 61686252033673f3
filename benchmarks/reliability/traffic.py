"""Requests at a real server, each with the times that a client sees."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

from benchmarks import http_load

MIB = 2**20


@dataclass(slots=True)
class Seen:
    """What one client saw of one streamed completion; seconds of a monotonic clock."""

    sent: float
    status: int = 0
    answered: float = 0.0
    """When the status came."""
    tokens: list[float] = field(default_factory=list)
    """When each token came."""
    whole: bool = False

    @property
    def gaps(self) -> list[float]:
        """Between one token and the next."""
        return [later - sooner for sooner, later in zip(self.tokens, self.tokens[1:], strict=False)]


def prompt(number: int, length: int, vocabulary: int) -> list[int]:
    """Token ids that no other request has at its beginning."""
    return [(number * 7919 + place * 104729) % vocabulary for place in range(length)]


async def complete(port: int, body: dict[str, object], seen: Seen | None = None) -> Seen:
    """One streamed completion to its end, or until it is cancelled; then `seen` has what came."""
    seen = seen or Seen(time.perf_counter())
    reader, writer = await http_load.post(port, "/v1/completions", body | {"stream": True})
    try:
        seen.status = int((await reader.readline()).split(b" ", 2)[1])
        seen.answered = time.perf_counter()
        async for line in reader:
            if line.startswith(b"data: [DONE]"):
                seen.whole = True
            elif line.startswith(b"data: ") and b'"error"' not in line:
                seen.tokens.append(time.perf_counter())
    finally:
        writer.close()
    return seen


async def health(port: int) -> tuple[int, float]:
    """The status of GET /health, and how long it took."""
    sent = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        status = int((await reader.readline()).split(b" ", 2)[1])
        await reader.read()
    finally:
        writer.close()
    return status, time.perf_counter() - sent


def resident(process: psutil.Process) -> dict[str, float]:
    """MiB of the front and of the engine."""
    engine = process.children(recursive=True)
    return {"front": process.memory_info().rss / MIB, "engine": sum(p.memory_info().rss for p in engine) / MIB}


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of all are; nan of none."""
    if not values:
        return float("nan")
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def milliseconds(values: Sequence[float]) -> str:
    """Median, 99th percentile and largest of some times."""
    if not values:
        return "none"
    figures = (statistics.median(values), percentile(values, 0.99), max(values))
    return "p50 {:.1f} ms, p99 {:.1f} ms, max {:.1f} ms".format(*(1000 * figure for figure in figures))
