"""Where sessions are kept: one small interface, and the choice of what is behind it by a URL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from portico.errors import ConfigError
from portico.server.sessions.history import Key


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How much is kept."""

    count: int = 1000
    """Sessions of one owner; with one more, that which was used longest ago is forgotten."""
    idle_seconds: float = 86400.0
    """After so long without use a session is forgotten; 0: never."""

    def oldest(self, now: float) -> float:
        """Unix time of the last use before which a session is forgotten."""
        return now - self.idle_seconds if self.idle_seconds else 0.0


class SessionStore(Protocol):
    """Bytes by key; all methods belong to one event loop and leave it to others while they wait."""

    async def load(self, key: Key, now: float) -> bytes | None:
        """What was saved last, unless it was deleted or has been forgotten."""
        ...

    async def save(self, key: Key, data: bytes, now: float) -> None:
        """Keep this in place of what there was, and forget what is beyond the limits."""
        ...

    async def delete(self, key: Key) -> None:
        """Keep nothing; unknown keys are ignored."""
        ...

    async def close(self) -> None:
        """Give up connections and files."""
        ...


Opener = Callable[[str, SessionLimits], SessionStore]


async def open_store(url: str, limits: SessionLimits) -> SessionStore:
    """The store that a URL names, as memory: or sqlite:///PATH; ConfigError if it cannot be had."""
    scheme = url.partition(":")[0]
    if scheme == "memory":
        from portico.server.sessions.memory import MemoryStore

        return MemoryStore(limits)
    if scheme == "sqlite":
        from portico.server.sessions.sqlite import SqliteStore

        return await SqliteStore.open(_path(url), limits)
    if scheme in ("redis", "rediss", "unix"):
        try:
            from portico.server.sessions.redis import RedisStore
        except ImportError as error:
            raise _missing("redis", url) from error
        return await RedisStore.open(url, limits)
    if scheme in ("postgresql", "postgres"):
        try:
            from portico.server.sessions.postgresql import PostgresqlStore
        except ImportError as error:
            raise _missing("postgresql", url) from error
        return await PostgresqlStore.open(url, limits)
    raise ConfigError(
        f"--session-store is {url!r}; it must be memory:, sqlite:///PATH, redis://HOST or postgresql://HOST/DATABASE."
    )


def _path(url: str) -> Path:
    """As SQLAlchemy reads it: three slashes before a relative path, four before an absolute one."""
    prefix = "sqlite:///"
    if not url.startswith(prefix) or url == prefix:
        raise ConfigError(
            f"--session-store is {url!r}; with SQLite it must be sqlite:///PATH (sqlite:////PATH from the root)."
        )
    return Path(url.removeprefix(prefix)).expanduser()


def _missing(extra: str, url: str) -> ConfigError:
    scheme = url.partition(":")[0]
    return ConfigError(f"--session-store {scheme}://… needs a library: pip install 'portico[{extra}]'.")
