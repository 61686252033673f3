"""Sessions in this process: they end with it."""

from __future__ import annotations

from collections import OrderedDict

from portico.server.sessions.history import Key
from portico.server.sessions.store import SessionLimits


class MemoryStore:
    """The shortest implementation of `SessionStore`."""

    def __init__(self, limits: SessionLimits) -> None:
        self._limits = limits
        self._owners: dict[str, OrderedDict[str, tuple[float, bytes]]] = {}

    async def load(self, key: Key, now: float) -> bytes | None:
        """See `SessionStore`."""
        kept = self._owners[key.owner].get(key.id) if key.owner in self._owners else None
        return kept[1] if kept is not None and kept[0] >= self._limits.oldest(now) else None

    async def save(self, key: Key, data: bytes, now: float) -> None:
        """See `SessionStore`."""
        sessions = self._owners.setdefault(key.owner, OrderedDict())
        sessions[key.id] = (now, data)
        sessions.move_to_end(key.id)
        oldest = self._limits.oldest(now)
        while len(sessions) > self._limits.count or next(iter(sessions.values()))[0] < oldest:
            sessions.popitem(last=False)

    async def delete(self, key: Key) -> None:
        """See `SessionStore`."""
        if key.owner in self._owners:
            self._owners[key.owner].pop(key.id, None)

    async def close(self) -> None:
        """Nothing is held."""
