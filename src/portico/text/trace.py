"""What happened to requests, and when: kept for the latest of them, for whoever wants to see where time went."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import msgspec

MOST_REQUESTS = 256
MOST_EVENTS = 8192
"""Of one request; what begins or happens after so many is not kept."""
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
    """The request's id: each request is a row. Perfetto takes a text for the row's name; MLC LLM has one too."""


class Trace:
    """Records events by request; one that keeps no requests costs next to nothing."""

    def __init__(self, most_requests: int = 0, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.on = most_requests > 0
        self._most = most_requests
        self._clock = clock_ns
        self._epoch = time.time_ns() - time.monotonic_ns()  # the clock of the day may be set back, events may not be
        self._requests: OrderedDict[str, _Row] = OrderedDict()

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
        for request_id, row in self._requests.items():
            seen: Counter[tuple[Phase, str]] = Counter()
            for when, phase, name in row.events:
                told.append(TraceEvent(f"{name} ({seen[phase, name]})", phase, when, 1, request_id))
                seen[phase, name] += 1
        return told

    def _add(self, request_id: str, phase: Phase, name: str) -> None:
        if not self.on:
            return
        row = self._requests.get(request_id)
        if row is None:
            row = self._requests[request_id] = _Row()
            if len(self._requests) > self._most:
                self._requests.popitem(last=False)
        row.add((self._epoch + self._clock()) // 1000, phase, name)


@dataclass(slots=True)
class _Row:
    """The events of one request; what has begun ends, or neither is kept."""

    events: list[tuple[int, Phase, str]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    """What has begun and not ended, the outermost first."""
    left_out: int = 0
    """What has begun since there was no room for it."""

    def add(self, when: int, phase: Phase, name: str) -> None:
        """Keep an event if there is room."""
        room = MOST_EVENTS - len(self.events) - len(self.open)  # what is open will have its end
        if phase == "B" and (room < 2 or self.left_out):
            self.left_out += 1
        elif phase == "B":
            self.open.append(name)
            self.events.append((when, phase, name))
        elif phase == "E" and self.left_out:
            self.left_out -= 1
        elif phase == "E" and self.open:
            self.open.pop()
            self.events.append((when, phase, name))
        elif phase == "i" and room > 0:
            self.events.append((when, phase, name))
