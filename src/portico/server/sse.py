"""Server-sent events: an answer that is written while it is made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from portico.errors import EngineError
from portico.logs import about
from portico.server.disconnect import ClientGoneError, while_connected
from portico.server.errors import internal_error, shutting_down
from portico.server.middleware import context_of

T = TypeVar("T")

log = logging.getLogger(__name__)

HEADERS = {
    "cache-control": "no-cache, no-store",
    "x-accel-buffering": "no",  # nginx would hold events back
    "content-type": "text/event-stream; charset=utf-8",
}


class EventStream(Response):
    """Sends each item as soon as it is there; closes the generator, and so cancels the work, when the client goes."""

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        *,
        on_crash: Callable[[EngineError], bytes],
        headers: dict[str, str] | None = None,
    ) -> None:
        """`on_crash` gives the last event of a stream that met a fault of ours, in the door's own form."""
        super().__init__(headers={**(headers or {}), **HEADERS})
        del self.headers["content-length"]
        self._events = events
        self._on_crash = on_crash

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            await while_connected(receive, self._send_all(scope, send))
        except ClientGoneError:
            request_id = context_of(scope).id
            log.info("%s: the client is gone", request_id, extra=about(request_id))
        except asyncio.CancelledError:
            await send({"type": "http.response.body", "body": self._on_crash(shutting_down()), "more_body": False})
            raise

    async def _send_all(self, scope: Scope, send: Send) -> None:
        async with aclosing(self._events):
            try:
                async for event in self._events:
                    await send({"type": "http.response.body", "body": event, "more_body": True})
            except Exception:
                request_id = context_of(scope).id
                log.exception("%s: the stream failed", request_id, extra=about(request_id))
                await send({"type": "http.response.body", "body": self._on_crash(internal_error()), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def named_event(name: str, fields: Any) -> bytes:
    """An event that says what it is beside its data."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(fields))


async def with_beats(events: AsyncGenerator[T, None], seconds: float) -> AsyncGenerator[T | None, None]:
    """The same events, and None each time that none came for so many seconds; closing it closes them."""
    coming: asyncio.Task[tuple[T] | None] | None = None
    try:
        while True:
            coming = asyncio.ensure_future(_next(events))
            while not (await asyncio.wait([coming], timeout=seconds))[0]:
                yield None
            found = coming.result()
            if found is None:
                return
            yield found[0]
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        await events.aclose()


async def _next(events: AsyncGenerator[T, None]) -> tuple[T] | None:
    async for event in events:
        return (event,)
    return None
