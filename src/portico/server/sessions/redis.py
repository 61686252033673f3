"""Sessions in Redis, for several servers behind one address; needs the extra `redis`."""

from __future__ import annotations

import math
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from portico.errors import ConfigError
from portico.server.sessions.history import Key
from portico.server.sessions.store import SessionLimits


class RedisStore:
    """`SessionStore` over redis-py: a string a session, and a sorted set an owner, by time of use."""

    def __init__(self, redis: Redis, limits: SessionLimits) -> None:
        self._redis = redis
        self._limits = limits

    @classmethod
    async def open(cls, url: str, limits: SessionLimits) -> RedisStore:
        """Connect; ConfigError if nobody answers."""
        try:
            redis: Redis = Redis.from_url(url)
            await redis.ping()
        except (RedisError, OSError, ValueError) as error:
            raise ConfigError(f"Sessions cannot be kept in Redis: {error}.") from error
        return cls(redis, limits)

    async def load(self, key: Key, now: float) -> bytes | None:
        """See `SessionStore`; Redis itself forgets what is idle."""
        data = await self._redis.get(_name(key.owner, key.id))
        return None if data is None else cast(bytes, data)  # text only for clients that decode

    async def save(self, key: Key, data: bytes, now: float) -> None:
        """See `SessionStore`."""
        idle, index = self._limits.idle_seconds, _index(key.owner)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(_name(key.owner, key.id), data, px=math.ceil(idle * 1000) or None)
            pipe.zadd(index, {key.id: now})
            pipe.zremrangebyscore(index, "-inf", f"({self._limits.oldest(now)}")
            if idle:
                pipe.pexpire(index, math.ceil(idle * 1000))
            pipe.zrange(index, 0, -self._limits.count - 1)
            pipe.zremrangebyrank(index, 0, -self._limits.count - 1)
            results = await pipe.execute()
        if too_many := results[-2]:
            await self._redis.delete(*(_name(key.owner, session.decode()) for session in too_many))

    async def delete(self, key: Key) -> None:
        """See `SessionStore`."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(_name(key.owner, key.id))
            pipe.zrem(_index(key.owner), key.id)
            await pipe.execute()

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _name(owner: str, session: str) -> str:
    return f"portico:session:{owner}:{session}"


def _index(owner: str) -> str:
    return f"portico:sessions:{owner}"
