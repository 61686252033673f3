"""Server-sent events: an answer that is written while it is made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from portico.errors import EngineError
from portico.logs import about
from portico.server.disconnect import ClientGoneError, while_connected
from portico.server.errors import internal_error, shutting_down
from portico.server.middleware import context_of

log = logging.getLogger(__name__)

HEADERS = {
    "cache-control": "no-cache, no-store",
    "x-accel-buffering": "no",  # nginx would hold events back
    "content-type": "text/event-stream; charset=utf-8",
}
BEAT_SECONDS = 15.0
"""What a stream may be silent for before it says that it goes on, if it can say so."""


class EventStream(Response):
    """Sends each item as soon as it is there; closes the generator, and so cancels the work, when the client goes."""

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        *,
        on_crash: Callable[[EngineError], bytes],
        headers: dict[str, str] | None = None,
        beat: Callable[[], bytes] | None = None,
    ) -> None:
        """`on_crash` gives the last event of a stream that met a fault of ours, in the door's own form.

        `beat` gives an event that says that the stream goes on; without it silence is silence.
        """
        super().__init__(headers={**(headers or {}), **HEADERS})
        del self.headers["content-length"]
        self._events = events
        self._on_crash = on_crash
        self._beat = beat
        self._latest = 0.0

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
        now = asyncio.get_running_loop().time
        self._latest = now()
        beats = None if self._beat is None else asyncio.create_task(self._send_beats(self._beat, send))
        async with aclosing(self._events):
            try:
                async for event in self._events:
                    self._latest = now()
                    await send({"type": "http.response.body", "body": event, "more_body": True})
            except Exception:
                request_id = context_of(scope).id
                log.exception("%s: the stream failed", request_id, extra=about(request_id))
                await send({"type": "http.response.body", "body": self._on_crash(internal_error()), "more_body": True})
            finally:
                if beats is not None:
                    beats.cancel()
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_beats(self, beat: Callable[[], bytes], send: Send) -> None:
        """Beside what is sent: the stream's own events only note when they went, so that a beat costs them nothing."""
        loop = asyncio.get_running_loop()
        while True:
            if (left := self._latest + BEAT_SECONDS - loop.time()) > 0:
                await asyncio.sleep(left)
                continue
            self._latest = loop.time()
            await send({"type": "http.response.body", "body": beat(), "more_body": True})


def named_event(name: str, fields: Any) -> bytes:
    """An event that says what it is beside its data."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(fields))
