"""All sessions of a server: one request at a time in each, and what may stop it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from portico.server.sessions.history import History, Key, pack, unpack
from portico.server.sessions.records import Records
from portico.server.sessions.store import SessionStore

T = TypeVar("T")
Stop = Callable[[], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Place:
    """A session that somebody has to do with at this moment."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    running: list[Stop] = field(default_factory=list)


class Sessions:
    """Histories by key, over a store; belongs to one event loop."""

    def __init__(self, store: SessionStore, clock: Callable[[], float] = time.time) -> None:
        self.records = Records(store, clock)
        """What else is kept in the same place."""
        self._places: dict[Key, _Place] = {}

    @asynccontextmanager
    async def hold(self, key: Key) -> AsyncIterator[History | None]:
        """Have a session to oneself, and what it knows; others that ask for it wait until it is given back."""
        with self._at(key) as place:
            async with place.lock:
                yield await self.read(key)

    async def read(self, key: Key) -> History | None:
        """What a session knows at this moment; None: there is no such session."""
        data = await self.records.load(key)
        if data is None:
            return None
        try:
            return unpack(data)
        except msgspec.DecodeError:
            log.warning("a stored session cannot be read (another version's?); it begins anew")
            return None

    async def save(self, key: Key, history: History) -> None:
        """Keep what a session knows now."""
        await self.records.save(key, pack(history))

    async def end(self, key: Key) -> None:
        """Forget a session."""
        await self.records.delete(key)

    @contextmanager
    def running(self, key: Key, stop: Stop) -> Iterator[None]:
        """While this lasts, `stop` ends what runs in the session."""
        with self._at(key) as place:
            place.running.append(stop)
            try:
                yield
            finally:
                place.running.remove(stop)

    async def stoppable(self, key: Key, events: AsyncGenerator[T, None], stop: Stop) -> AsyncGenerator[T, None]:
        """The same events; while they come, `stop` ends what runs in the session."""
        with self.running(key, stop):
            async with aclosing(events):
                async for event in events:
                    yield event

    async def stop(self, key: Key) -> bool:
        """End what runs in a session; what waits for it goes on. Whether anything ran."""
        place = self._places.get(key)
        running = [] if place is None else list(place.running)
        for stop in running:
            await stop()
        return bool(running)

    async def close(self) -> None:
        """Close the store."""
        await self.records.close()

    @contextmanager
    def _at(self, key: Key) -> Iterator[_Place]:
        place = self._places.setdefault(key, _Place())
        place.users += 1
        try:
            yield place
        finally:
            place.users -= 1
            if not place.users:
                del self._places[key]
