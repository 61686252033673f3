"""Bytes by key over a store: what fails there is told as the failure of a service."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from portico.errors import EngineError
from portico.server.sessions.history import Key
from portico.server.sessions.store import SessionStore

T = TypeVar("T")

log = logging.getLogger(__name__)


class Records:
    """What is kept for its owners, of whatever kind; every method raises EngineError 503 if the store fails."""

    def __init__(self, store: SessionStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    async def load(self, key: Key) -> bytes | None:
        """What was saved last, unless it was deleted or has been forgotten."""
        return await self._asked(self._store.load(key, self._clock()))

    async def save(self, key: Key, data: bytes) -> None:
        """Keep this in place of what there was."""
        await self._asked(self._store.save(key, data, self._clock()))

    async def delete(self, key: Key) -> None:
        """Keep nothing; unknown keys are ignored."""
        await self._asked(self._store.delete(key))

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()

    async def _asked(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        except Exception as error:
            log.exception("the session store failed")
            raise EngineError(
                "The store of sessions does not answer.", status=503, code="session_store_failed"
            ) from error
