"""The front's side of the engine: sends requests, hands each its own tokens, and replaces an engine that is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import zmq.asyncio

from portico.engine.link import EngineProcess, Link
from portico.engine.streams import Streams
from portico.errors import EngineError
from portico.protocol import messages
from portico.protocol.messages import Add, EngineStats, Loaded, Loading, TokenEvent

log = logging.getLogger(__name__)

LAST_WORDS_SECONDS = 1.0
LOOK_SECONDS = 0.25
"""Between two looks at whether the engine goes on."""
LOAD_SECONDS = 600.0
"""A new engine may say nothing of its progress for so long; then it is given up for stuck."""
WATCHERS = 3
"""Threads that wait for engine processes: one for the end of the engine of the moment, two to put lost ones away."""
PAUSES = (0.0, 1.0, 5.0)
"""Seconds before each attempt to start a new engine; after as many that did not get ready there is no other."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ending:
    """How an engine ended."""

    why: str
    killed: bool = False
    """By a signal from outside, and not for what it did."""


class AsyncEngineClient:
    """Talks to an engine process from an event loop; one object for all requests of the front.

    Once the model was loaded, an engine that ends, or whose step takes longer than `step_timeout` seconds (0: any), is
    replaced by a new one, in which every request goes on where it was.
    """

    def __init__(self, process: EngineProcess, *, step_timeout: float = 0.0) -> None:
        self.restarts = 0
        self._step_timeout = step_timeout
        self._loaded: Loaded | None = None
        self._loading: Loading | None = Loading("starting the engine process")
        self._stats: EngineStats | None = None
        self._listeners: list[Callable[[EngineStats], None]] = []
        self._failure: str | None = None
        self._trouble: str | None = None
        self._closing = False
        self._silent_looks = 0
        self._unready = 0
        self._ready = asyncio.Event()
        # Not the loop's own threads: who watches an engine must not wait for those that read large bodies.
        self._threads = ThreadPoolExecutor(WATCHERS, thread_name_prefix="engine")
        self._context = zmq.asyncio.Context()
        self._link = Link(process, self._context)
        self._streams = Streams(lambda message: self._link.send(message))
        self._supervisor = asyncio.create_task(self._supervise())

    @property
    def loaded(self) -> Loaded:
        """What the engine runs and its limits; raises EngineError (503) while it loads and when it has failed for good.

        While a lost engine is being replaced it is what the lost one ran.
        """
        if self._failure is not None:
            raise EngineError(f"The engine is not running: {self._failure}", status=503, code="engine_dead")
        if self._loaded is None:
            raise EngineError("The model is being loaded; try again in a moment.", status=503, code="engine_loading")
        return self._loaded

    @property
    def stats(self) -> EngineStats | None:
        """Counts after the engine's latest step; None before the first."""
        return self._stats

    @property
    def pid(self) -> int:
        """The process id of the engine of the moment."""
        return self._link.process.popen.pid

    def on_step(self, listener: Callable[[EngineStats], None]) -> None:
        """Call `listener` after each step, with the counts as they are then."""
        self._listeners.append(listener)

    @property
    def loading(self) -> Loading | None:
        """How far the engine of the moment is; None once it is ready, and when there is none any more."""
        return None if self._failure is not None else self._loading

    def failure(self) -> str | None:
        """Why the engine is not healthy at this moment, or None."""
        if self._failure is None and self._trouble is None and self._step_timeout:
            silent = self._silent_looks * LOOK_SECONDS
            if silent > self._step_timeout / 2:
                return f"a step of the engine has been running for {silent:.0f} seconds"
        return self._failure or self._trouble

    async def wait_loaded(self) -> Loaded:
        """Wait until the model is loaded; raises EngineError if it cannot be."""
        await self._ready.wait()
        return self.loaded

    async def submit(self, add: Add) -> AsyncIterator[list[TokenEvent]]:
        """Start a request and yield its events as they come, until each choice has finished or there is no engine.

        Leaving the iterator early cancels the request in the engine.
        """
        _ = self.loaded
        stream = self._streams.open(add)
        try:
            while stream.wanted:
                events = [event for event in await stream.queue.get() if event.choice in stream.wanted]
                stream.wanted.difference_update(event.choice for event in events if event.finish is not None)
                if events:
                    yield events
        finally:
            self._streams.close(stream)

    async def cancel(self, request_id: str, choice: int | None = None) -> None:
        """Drop a request or one choice of it; no more events come for what is dropped."""
        self._streams.drop(request_id, choice)

    async def close(self) -> None:
        """End the engine process and fail whatever still runs; the second time there is nothing to end."""
        if self._closing:
            return
        self._closing = True
        self._fail("the server is shutting down")
        self._supervisor.cancel()
        await asyncio.gather(self._supervisor, return_exceptions=True)
        self._link.send(messages.Stop())
        self._link.close(linger=500)
        self._context.term()
        await self._beside(self._link.process.close)
        self._threads.shutdown(wait=False)

    async def _beside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _supervise(self) -> None:
        """Serve one engine after the other, until one cannot be replaced."""
        while True:
            self._unready += 1
            ending = await self._serve()
            if self._loaded is None or self._unready > len(PAUSES):
                self._fail(ending.why)
                return
            log.error("engine: %s; another one is being started for %d requests", ending.why, len(self._streams))
            self._trouble = f"{ending.why}; another one is being started"
            self._streams.engine_lost(ending.why, killed=ending.killed)
            lost = self._link
            lost.close(linger=0)
            lost.process.popen.kill()
            await self._beside(lost.process.close)
            await asyncio.sleep(PAUSES[self._unready - 1] if self._unready else 0.0)
            self._link = Link(lost.process.again(), self._context)
            self._loading = Loading("starting the engine process")
            self.restarts += 1

    async def _serve(self) -> Ending:
        """Take what the engine of the moment says until it ends; how it ended."""
        words = asyncio.create_task(self._receive())
        watches = [asyncio.create_task(self._exit()), asyncio.create_task(self._stall())]
        try:
            done, _ = await asyncio.wait([words, *watches], return_when=asyncio.FIRST_COMPLETED)
            ending = next(iter(done)).result()
            if watches[0] in done and not ending.killed:  # it may have said why, and the message be on its way
                with contextlib.suppress(TimeoutError):
                    ending = await asyncio.wait_for(asyncio.shield(words), LAST_WORDS_SECONDS)
            return ending
        finally:
            for task in (words, *watches):
                task.cancel()

    async def _receive(self) -> Ending:
        while True:
            message = await self._link.receive()
            self._silent_looks = 0
            match message:
                case messages.Loading():
                    self._loading = message
                    self._link.process.hide()
                case messages.StepDone():
                    self._stats = message.stats
                    for listener in self._listeners:
                        listener(message.stats)
                    self._unready = 0
                    self._streams.take(message.events)
                case messages.Loaded():
                    self._loaded = message
                    self._loading = self._trouble = None
                    self._ready.set()
                    self._streams.engine_ready()
                case messages.Died():
                    return Ending(message.message)

    async def _exit(self) -> Ending:
        """Wait for the end of the process, however it ends."""
        status = await self._beside(self._link.process.popen.wait)
        if status == -signal.SIGKILL and self._link.process.out_of_memory():
            return Ending("the engine process was killed by signal 9, as memory ran out")
        if status < 0:
            return Ending(f"the engine process was killed by signal {-status}", killed=-status == signal.SIGKILL)
        return Ending(f"the engine process ended with status {status}")

    async def _stall(self) -> Ending:
        """Wait until a step takes too long, or a sign that a new engine still loads.

        Looks are counted, not seconds: this process may have been held up.
        """
        self._silent_looks = 0
        while not (limit := self._patience()) or self._silent_looks * LOOK_SECONDS < limit:
            await asyncio.sleep(LOOK_SECONDS)
            self._silent_looks = self._silent_looks + 1 if self._streams.waits or self._replaces else 0
        if self._replaces:
            return Ending(f"the new engine said nothing of its loading for {limit:g} seconds")
        return Ending(f"a step of the engine took longer than {limit:g} seconds")

    @property
    def _replaces(self) -> bool:
        """Whether the engine of the moment is loading, and not the first that does."""
        return self._loading is not None and self._loaded is not None

    def _patience(self) -> float:
        """Seconds that the engine of the moment may be silent when there is something to say; 0: any."""
        return LOAD_SECONDS if self._replaces else self._step_timeout

    def _fail(self, why: str) -> None:
        """There is no engine any more."""
        if self._failure is not None:
            return
        self._failure = why
        if not self._closing:
            log.error("engine: %s", why)
        self._ready.set()
        self._streams.fail_all(why)
