"""A server that is about to stop: what runs goes on, what comes is sent elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import math

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from portico.server.admission import asks_model
from portico.server.errors import ERROR_CODE, ShapeOf, error_response, shutting_down

PROBES = frozenset({"/health", "/ping"})


def _is_refused(scope: Scope) -> bool:
    return scope["path"] in PROBES or scope["method"] not in ("GET", "HEAD") or asks_model(scope)


class Drain:
    """Passes requests on until `begin`; from then on only questions about the server, and counts those that run."""

    def __init__(self, app: ASGIApp, shape_of: ShapeOf) -> None:
        self._app = app
        self._shape_of = shape_of
        self._running = 0
        self._until: float | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    def begin(self, seconds: float) -> None:
        """Admit nothing from now on; `seconds` are what is left to requests that run."""
        self._until = asyncio.get_running_loop().time() + seconds

    async def wait(self) -> float:
        """Wait until nothing runs, or the time is over; the seconds that are left."""
        assert self._until is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._until):
                await self._empty.wait()
        return max(0.0, self._until - asyncio.get_running_loop().time())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._until is not None and _is_refused(scope):
            await self._refuse(self._until, scope, receive, send)
            return
        self._running += 1
        self._empty.clear()
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if self._until is None:
                raise
            # Cancelled as its time is over: its client has been told, and the log need not be told how.
        finally:
            self._running -= 1
            if not self._running:
                self._empty.set()

    async def _refuse(self, until: float, scope: Scope, receive: Receive, send: Send) -> None:
        error = shutting_down()
        left = max(1, math.ceil(until - asyncio.get_running_loop().time()))
        headers = {"retry-after": str(left), "connection": "close"}
        if scope["path"] in PROBES:
            state = {"status": "unavailable", "reason": error.message}
            await JSONResponse(state, error.status, headers)(scope, receive, send)
            return
        answer = error_response(error, self._shape_of(scope), headers)
        del answer.headers[ERROR_CODE]  # nobody inside gets to see it
        await answer(scope, receive, send)
