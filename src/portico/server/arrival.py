"""A request has to arrive: one whose body does not come gives its place back, and all bodies together have a limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portico.errors import RequestError
from portico.protocol.request import Terms
from portico.server.errors import BODY_TIMEOUT
from portico.server.middleware import context_of
from portico.text.pipeline import too_late

BODY_SECONDS = 120.0
"""From the headers of a request to the last byte of its body."""
LARGEST_BODIES = 64
"""So many bodies of the largest size may be held at a time, or more that are smaller."""


class ArrivalLimit:
    """Refuses a request whose body is not there in time: 408, or as its deadline says if that is sooner.

    And with 429 one with whose body all that are held would be more than `most_bytes`, unless it is the only one.
    """

    def __init__(self, app: ASGIApp, terms_of: Callable[[Scope], Terms], most_bytes: int) -> None:
        """`terms_of` gives a request's deadline; RequestError for a header that says none, which its door will tell."""
        self._app = app
        self._terms_of = terms_of
        self._most_bytes = most_bytes
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        until, error = self._limit(scope)
        arrived, held = False, 0

        async def receive_in_time() -> Message:
            nonlocal arrived, held
            if arrived:  # from now on it tells of nothing but the disconnect
                return await receive()
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    message = await receive()
            except TimeoutError:
                raise error from None
            arrived = not message.get("more_body", False)
            size = len(message.get("body", b""))
            if self._held > held and self._held + size > self._most_bytes:
                raise _too_much(self._most_bytes)
            held += size
            self._held += size
            return message

        try:
            await self._app(scope, receive_in_time, send)
        finally:
            self._held -= held

    def _limit(self, scope: Scope) -> tuple[float, RequestError]:
        """When the body must be there, on the clock of `time.monotonic`, and what is said where it is not."""
        until = context_of(scope).arrived + BODY_SECONDS
        try:
            terms = self._terms_of(scope)
        except RequestError:
            terms = Terms()
        if terms.deadline is not None and terms.deadline < until:
            return terms.deadline, too_late(terms)
        text = f"The body of the request was not there {BODY_SECONDS:g} s after its headers."
        return until, RequestError(text, status=408, type="timeout_error", code=BODY_TIMEOUT)


def _too_much(most_bytes: int) -> RequestError:
    return RequestError(
        f"The server is busy: the bodies of all requests together would have more than {most_bytes} bytes. "
        "Try again in about 1 s.",
        status=429,
        type="rate_limit_error",
        code="queue_full",
        counts={"retry_after": 1},
    )
