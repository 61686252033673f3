"""What happened to requests, and when: kept for the latest of them, for whoever wants to see where time went."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec

MOST_REQUESTS = 256
MOST_EVENTS = 8192
"""Of one request; what happens after so many is not kept."""
Phase = Literal["B", "E", "i"]


class TraceEvent(msgspec.Struct, frozen=True):
    """An event in the Trace Event Format of Chrome, which Perfetto opens."""

    name: str
    ph: Phase
    """Begin, end, or instant."""
    ts: int
    """Microseconds since 1970."""
    pid: int
    tid: str
    """The request's id: each request is a row."""


class Trace:
    """Records events by request; one that keeps no requests costs next to nothing."""

    def __init__(self, most_requests: int = 0, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.on = most_requests > 0
        self._most = most_requests
        self._clock = clock_ns
        self._requests: OrderedDict[str, list[tuple[int, Phase, str]]] = OrderedDict()

    def mark(self, request_id: str, name: str) -> None:
        """Something happened."""
        self._add(request_id, "i", name)

    def begin(self, request_id: str, name: str) -> None:
        """Something begins that takes time; `end` ends it."""
        self._add(request_id, "B", name)

    def end(self, request_id: str, name: str) -> None:
        """What has begun ends."""
        self._add(request_id, "E", name)

    @contextmanager
    def span(self, request_id: str, name: str) -> Iterator[None]:
        """Something takes as long as the block."""
        self.begin(request_id, name)
        try:
            yield
        finally:
            self.end(request_id, name)

    def clear(self) -> None:
        """Forget everything."""
        self._requests.clear()

    def events(self) -> list[TraceEvent]:
        """All that is kept: the requests in the order they came, each one's events numbered by their names."""
        told = []
        for request_id, events in self._requests.items():
            seen: Counter[tuple[Phase, str]] = Counter()
            for when, phase, name in events:
                told.append(TraceEvent(f"{name} ({seen[phase, name]})", phase, when, 1, request_id))
                seen[phase, name] += 1
        return told

    def _add(self, request_id: str, phase: Phase, name: str) -> None:
        if not self.on:
            return
        events = self._requests.setdefault(request_id, [])
        if len(events) < MOST_EVENTS:
            events.append((self._clock() // 1000, phase, name))
        if len(self._requests) > self._most:
            self._requests.popitem(last=False)
