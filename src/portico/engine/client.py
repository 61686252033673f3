"""The front's side of the engine process: starts it, sends requests, and hands each request its own tokens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import zmq
import zmq.asyncio

from portico.config.engine import EngineConfig
from portico.errors import EngineError
from portico.protocol import messages
from portico.protocol.messages import Add, Cancel, EngineStats, Loaded, TokenEvent

log = logging.getLogger(__name__)

EXIT_SECONDS = 5.0
LAST_WORDS_SECONDS = 1.0


class EngineProcess:
    """A running engine process and the address it talks at; it ends by itself when this process is gone.

    `module` is what the process runs: `portico.build`, or a stand-in that speaks the same messages.
    """

    def __init__(self, config: EngineConfig, module: str = "portico.build") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="portico-"))  # mode 0700: nobody else can reach the socket
        self.endpoint = f"ipc://{self.folder / 'engine.sock'}"
        self.popen = subprocess.Popen([sys.executable, "-m", module, self.endpoint], stdin=subprocess.PIPE, text=False)
        assert self.popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # an engine that died at once is reported by its exit status
            self.popen.stdin.write(msgspec.json.encode(config) + b"\n")
            self.popen.stdin.flush()

    def close(self) -> None:
        """End the process, by force if it does not go by itself, and remove its socket."""
        self.popen.terminate()  # it holds nothing that could be lost
        try:
            self.popen.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(slots=True)
class _Stream:
    """Where one request's events go."""

    running: set[int]
    """Choices that have neither finished nor been cancelled."""
    queue: asyncio.Queue[list[TokenEvent]] = field(default_factory=asyncio.Queue)


class AsyncEngineClient:
    """Talks to an `EngineProcess` from an event loop; one object for all requests of the front."""

    def __init__(self, process: EngineProcess) -> None:
        self._process = process
        self._streams: dict[str, _Stream] = {}
        self._loaded: Loaded | None = None
        self._stats: EngineStats | None = None
        self._failure: str | None = None
        self._closing = False
        self._ready = asyncio.Event()
        self._last_words = asyncio.Event()
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.set_hwm(0)
        self._socket.bind(process.endpoint)
        self._tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._watch())]

    @property
    def loaded(self) -> Loaded:
        """What the engine runs and its limits; raises EngineError (503) while it loads and when it has failed."""
        if self._failure is not None:
            raise EngineError(f"The engine is not running: {self._failure}", status=503, code="engine_dead")
        if self._loaded is None:
            raise EngineError("The model is being loaded; try again in a moment.", status=503, code="engine_loading")
        return self._loaded

    @property
    def stats(self) -> EngineStats | None:
        """Counts after the engine's latest step; None before the first."""
        return self._stats

    def failure(self) -> str | None:
        """Why the engine is not healthy, or None."""
        return self._failure

    async def wait_loaded(self) -> Loaded:
        """Wait until the model is loaded; raises EngineError if it cannot be."""
        await self._ready.wait()
        return self.loaded

    async def submit(self, add: Add) -> AsyncIterator[list[TokenEvent]]:
        """Start a request and yield its events as they come, until each choice has finished or the engine fails.

        Leaving the iterator early cancels the request in the engine.
        """
        _ = self.loaded
        stream = _Stream(set(range(add.n)))
        self._streams[add.request_id] = stream
        try:
            self._send(add)
            while stream.running:
                events = [event for event in await stream.queue.get() if event.choice in stream.running]
                stream.running.difference_update(event.choice for event in events if event.finish is not None)
                if events:
                    yield events
        finally:
            del self._streams[add.request_id]
            if stream.running:
                self._send(Cancel(add.request_id))

    async def cancel(self, request_id: str, choice: int | None = None) -> None:
        """Drop a request or one choice of it; no more events come for what is dropped."""
        stream = self._streams.get(request_id)
        if stream is None:
            return
        self._send(Cancel(request_id, choice))
        stream.running.difference_update(list(stream.running) if choice is None else [choice])
        stream.queue.put_nowait([])  # wakes the iterator, which ends if nothing is left

    async def close(self) -> None:
        """End the engine process and fail whatever still runs."""
        self._closing = True
        self._fail("the server is shutting down")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._send(messages.Stop())
        self._socket.close(linger=500)
        self._context.term()
        await asyncio.to_thread(self._process.close)

    def _send(self, message: messages.ToEngine) -> None:
        # The socket's queue is unbounded, so the future is done at once; not awaited, so that generators that are being
        # closed can cancel too.
        if self._failure is None or self._closing:
            self._socket.send(messages.encode(message))

    async def _receive(self) -> None:
        while True:
            message = messages.decode_from_engine(await self._socket.recv())
            match message:
                case messages.StepDone():
                    self._stats = message.stats
                    self._deliver(message.events)
                case messages.Loaded():
                    self._loaded = message
                    self._ready.set()
                case messages.Died():
                    self._fail(message.message)
                    self._last_words.set()

    def _deliver(self, events: list[TokenEvent]) -> None:
        if len(events) == 1:
            self._put(events)
            return
        by_request: dict[str, list[TokenEvent]] = {}
        for event in events:
            by_request.setdefault(event.request_id, []).append(event)
        for group in by_request.values():
            self._put(group)

    def _put(self, events: list[TokenEvent]) -> None:
        stream = self._streams.get(events[0].request_id)
        if stream is not None:
            stream.queue.put_nowait(events)

    async def _watch(self) -> None:
        """Notice the end of the process, however it ends."""
        status = await asyncio.to_thread(self._process.popen.wait)
        if status > 0:  # it ended itself, so it has said why; the message may still be on its way
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._last_words.wait(), LAST_WORDS_SECONDS)
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        self._fail(f"the engine process {how}")

    def _fail(self, why: str) -> None:
        if self._failure is not None:
            return
        self._failure = why
        if not self._closing:
            log.error("engine: %s", why)
        self._ready.set()
        for request_id, stream in self._streams.items():
            stream.queue.put_nowait(
                [TokenEvent(request_id, choice, [], "error", error=why) for choice in stream.running]
            )
