"""An engine whose requests are watched: the one place where all of them pass, whatever door they came by."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import cast

from portico.protocol.messages import Add, EngineStats, Loaded, Loading, TokenEvent
from portico.server.metrics.figures import Timeline
from portico.text.engine_client import EngineClient
from portico.text.trace import Trace

Watch = Callable[[Add], Callable[[Timeline], None]]
"""Told of each request that begins; what it gives is told of its end."""


def not_watched(add: Add) -> Callable[[Timeline], None]:
    """Nobody else wants to know."""
    return lambda request: None


class WatchedEngine:
    """Gives what another engine gives; tells of each request when it has ended, and traces what happens to it."""

    def __init__(
        self,
        engine: EngineClient,
        on_end: Callable[[Timeline], None],
        trace: Trace,
        on_gap: Callable[[float], None] = lambda seconds: None,
        watch: Watch = not_watched,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._on_end = on_end
        self._trace = trace
        self._on_gap = on_gap
        self._watch = watch
        self._clock = clock
        self._running: dict[str, Timeline] = {}

    async def submit(self, add: Add) -> AsyncIterator[list[TokenEvent]]:
        """See `EngineClient`."""
        timeline = self._running[add.request_id] = Timeline.begin(add, self._clock())
        finish = self._watch(add)
        # Engine clients are generators, whose closing is what cancels; the protocol promises only an iterator.
        source = cast("AsyncGenerator[list[TokenEvent], None]", self._engine.submit(add))
        self._trace.mark(add.request_id, "request added to engine")
        work: str | None = "prefill"
        self._trace.begin(add.request_id, "prefill")
        try:
            async with aclosing(source):
                async for events in source:
                    for gap in timeline.take(events, self._clock()):
                        self._on_gap(gap)
                    if work is not None:
                        self._trace.end(add.request_id, work)
                    work = "decode" if timeline.running else None
                    if work is not None:
                        self._trace.begin(add.request_id, work)
                    yield events
        except Exception:
            timeline.outcome = "error"
            raise
        finally:
            del self._running[add.request_id]
            timeline.end(self._clock())
            if work is not None:
                self._trace.end(add.request_id, work)
            self._trace.mark(add.request_id, f"finish: {timeline.outcome}")
            self._on_end(timeline)
            finish(timeline)

    async def cancel(self, request_id: str, choice: int | None = None) -> None:
        """See `EngineClient`."""
        timeline = self._running.get(request_id)
        if timeline is not None:
            timeline.drop(choice)
        await self._engine.cancel(request_id, choice)

    async def abort_all(self) -> None:
        """End every request where it is, as one that failed."""
        for request_id in list(self._running):
            self.failed(request_id)
            await self._engine.cancel(request_id)

    def failed(self, request_id: str, code: str = "engine_error") -> None:
        """The client of a request is going to be told an error, if what it asked for has not come to its end."""
        timeline = self._running.get(request_id)
        if timeline is not None and timeline.running:
            timeline.outcome, timeline.error_code = "error", code

    @property
    def running(self) -> int:
        """How many requests it has, running and waiting: one for each prompt."""
        return len(self._running)

    @property
    def loaded(self) -> Loaded:
        """See `EngineClient`."""
        return self._engine.loaded

    @property
    def stats(self) -> EngineStats | None:
        """See `EngineClient`."""
        return self._engine.stats

    @property
    def restarts(self) -> int:
        """See `EngineClient`."""
        return self._engine.restarts

    @property
    def pid(self) -> int:
        """See `EngineClient`."""
        return self._engine.pid

    @property
    def loading(self) -> Loading | None:
        """See `EngineClient`."""
        return self._engine.loading

    def on_step(self, listener: Callable[[EngineStats], None]) -> None:
        """See `EngineClient`."""
        self._engine.on_step(listener)

    def failure(self) -> str | None:
        """See `EngineClient`."""
        return self._engine.failure()
