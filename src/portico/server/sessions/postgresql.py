"""Sessions in PostgreSQL, for several servers behind one address; needs the extra `postgresql`."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from portico.errors import ConfigError
from portico.server.sessions.history import Key
from portico.server.sessions.store import SessionLimits

CONNECT_SECONDS = 10.0
SCHEMA_LOCK = 0x706F7274
"""Two servers that start together would both make the table."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS portico_sessions (
    owner TEXT NOT NULL, id TEXT NOT NULL, used DOUBLE PRECISION NOT NULL, data BYTEA NOT NULL, PRIMARY KEY (owner, id)
);
CREATE INDEX IF NOT EXISTS portico_sessions_used ON portico_sessions (owner, used);
CREATE INDEX IF NOT EXISTS portico_sessions_idle ON portico_sessions (used);
"""


class PostgresqlStore:
    """`SessionStore` over psycopg; a connection that was lost is made again."""

    def __init__(self, pool: AsyncConnectionPool[Any], limits: SessionLimits) -> None:
        self._pool = pool
        self._limits = limits

    @classmethod
    async def open(cls, url: str, limits: SessionLimits) -> PostgresqlStore:
        """Connect and make the table; ConfigError if that fails."""
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
            url, min_size=1, max_size=4, open=False, check=AsyncConnectionPool.check_connection
        )
        try:
            # A single try tells what is wrong; the pool would only say that it took too long.
            await (await psycopg.AsyncConnection.connect(url, connect_timeout=int(CONNECT_SECONDS))).close()
            await pool.open(wait=True, timeout=CONNECT_SECONDS)
            async with pool.connection() as connection:
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
                await connection.execute(SCHEMA)
        except (psycopg.Error, PoolTimeout) as error:
            await pool.close()
            raise ConfigError(f"Sessions cannot be kept in PostgreSQL: {str(error).strip()}.") from error
        return cls(pool, limits)

    async def load(self, key: Key, now: float) -> bytes | None:
        """See `SessionStore`."""
        async with self._pool.connection() as connection:
            found = await connection.execute(
                "SELECT data FROM portico_sessions WHERE owner = %s AND id = %s AND used >= %s",
                (key.owner, key.id, self._limits.oldest(now)),
            )
            row = await found.fetchone()
        return None if row is None else bytes(row[0])

    async def save(self, key: Key, data: bytes, now: float) -> None:
        """See `SessionStore`."""
        async with self._pool.connection() as connection:  # one transaction
            await connection.execute(
                "INSERT INTO portico_sessions VALUES (%s, %s, %s, %s) "
                "ON CONFLICT (owner, id) DO UPDATE SET used = excluded.used, data = excluded.data",
                (key.owner, key.id, now, data),
            )
            await connection.execute("DELETE FROM portico_sessions WHERE used < %s", (self._limits.oldest(now),))
            await connection.execute(
                "DELETE FROM portico_sessions WHERE owner = %s AND id IN (SELECT id FROM portico_sessions "
                "WHERE owner = %s ORDER BY used DESC OFFSET %s)",
                (key.owner, key.owner, self._limits.count),
            )

    async def delete(self, key: Key) -> None:
        """See `SessionStore`."""
        async with self._pool.connection() as connection:
            await connection.execute("DELETE FROM portico_sessions WHERE owner = %s AND id = %s", (key.owner, key.id))

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()
