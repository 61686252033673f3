"""Sessions in a file of SQLite's; one thread of its own does all the waiting."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from portico.errors import ConfigError
from portico.server.sessions.history import Key
from portico.server.sessions.store import SessionLimits

T = TypeVar("T")

BUSY_SECONDS = 5.0
"""How long to wait for another process that writes to the same file."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS portico_sessions (
    owner TEXT NOT NULL, id TEXT NOT NULL, used REAL NOT NULL, data BLOB NOT NULL, PRIMARY KEY (owner, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS portico_sessions_used ON portico_sessions (owner, used);
CREATE INDEX IF NOT EXISTS portico_sessions_idle ON portico_sessions (used);
"""


class SqliteStore:
    """`SessionStore` over the standard library's sqlite3; several servers may share the file."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor, limits: SessionLimits) -> None:
        self._connection = connection
        self._thread = thread
        self._limits = limits

    @classmethod
    async def open(cls, path: Path, limits: SessionLimits) -> SqliteStore:
        """Open the file, made with its folder if need be, readable by its owner only; ConfigError if that fails."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="sessions")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, _connect, path)
        except (OSError, sqlite3.Error) as error:
            thread.shutdown()
            raise ConfigError(f"Sessions cannot be kept in {path}: {error}.") from error
        return cls(connection, thread, limits)

    async def load(self, key: Key, now: float) -> bytes | None:
        """See `SessionStore`."""

        def work() -> bytes | None:
            row = self._connection.execute(
                "SELECT data FROM portico_sessions WHERE owner = ? AND id = ? AND used >= ?",
                (key.owner, key.id, self._limits.oldest(now)),
            ).fetchone()
            return None if row is None else bytes(row[0])

        return await self._do(work)

    async def save(self, key: Key, data: bytes, now: float) -> None:
        """See `SessionStore`."""

        def work() -> None:
            with self._connection as transaction:
                transaction.execute(
                    "INSERT INTO portico_sessions VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (owner, id) DO UPDATE SET used = excluded.used, data = excluded.data",
                    (key.owner, key.id, now, data),
                )
                transaction.execute("DELETE FROM portico_sessions WHERE used < ?", (self._limits.oldest(now),))
                transaction.execute(
                    "DELETE FROM portico_sessions WHERE owner = ?1 AND id IN (SELECT id FROM portico_sessions "
                    "WHERE owner = ?1 ORDER BY used DESC LIMIT -1 OFFSET ?2)",
                    (key.owner, self._limits.count),
                )

        await self._do(work)

    async def delete(self, key: Key) -> None:
        """See `SessionStore`."""

        def work() -> None:
            with self._connection as transaction:
                transaction.execute("DELETE FROM portico_sessions WHERE owner = ? AND id = ?", (key.owner, key.id))

        await self._do(work)

    async def close(self) -> None:
        """Close the file once what is under way is done."""
        await self._do(self._connection.close)
        self._thread.shutdown()

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite itself would let others read it
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(SCHEMA)
    return connection
