"""Connections of clients: how many there may be, and how long each is waited for and listened to."""

from __future__ import annotations

import asyncio
import contextlib
import sys

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from portico.protocol.limits import LIMITS
from portico.server import linger
from portico.server.linger import LingeringTransport

OWN_FILES = 256
"""Kept for models, stores, pipes, and connections that are accepted together before the first is counted."""
HEADERS_TOO_LARGE = 431
HEAD_SECONDS = 20.0
"""For the request line and headers of a request, from a connection's beginning or the end of the answer before."""


def most_connections() -> int | None:
    """Let this process open as many files as it may, and say how many may be connections; None: nobody counts here."""
    if sys.platform == "win32":
        return None
    import resource

    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now != most:
        with contextlib.suppress(ValueError, OSError):  # macOS says "any number" and has a limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if now == resource.RLIM_INFINITY else max(now - OWN_FILES, now // 2)


class HttpConnection(H11Protocol):
    """uvicorn's, which waits for the head of a request and reads what nobody wants without end.

    And says only "invalid" of a head that is too long.
    """

    transport: LingeringTransport
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The beginning of a connection; one too many is closed, before there is no file left."""
        super().connection_made(LingeringTransport(transport, self._is_being_sent))
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            transport.abort()
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of a connection."""
        super().connection_lost(exc)
        self._stop_timing()
        self.transport.forget()

    def data_received(self, data: bytes) -> None:
        """What the client sends."""
        if not self.transport.lingers:
            super().data_received(data)

    def handle_events(self) -> None:
        """Take what has come; also called when an answer has ended, for what came meanwhile."""
        super().handle_events()
        self._time_head()

    def on_response_complete(self) -> None:
        """The end of an answer, which may come before the end of what it answers."""
        super().on_response_complete()
        if self._is_being_sent() and not self.transport.is_closing():
            self.loop.call_later(linger.SECONDS, self._end_of_patience, self.cycle)

    def shutdown(self) -> None:
        """The server stops."""
        answered = self.cycle is not None and self.cycle.response_complete
        if self.transport.lingers or (answered and self._is_being_sent()):
            self.transport.end()
        else:
            super().shutdown()

    def _is_being_sent(self) -> bool:
        return self.conn.their_state is h11.SEND_BODY

    def _end_of_patience(self, answered: object) -> None:
        """Close if the body of what was `answered` is still being sent."""
        if self.cycle is answered and self._is_being_sent():
            self.transport.abort()

    def _time_head(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_timing()
        elif self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_timing(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request; called while the error is handled."""
        error = sys.exception()
        if isinstance(error, h11.RemoteProtocolError) and error.error_status_hint == HEADERS_TOO_LARGE:
            msg = f"The request line and headers are longer than {LIMITS.header_bytes} bytes."
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # an answer has begun, or is over
            self.transport.close()
            return
        super().send_400_response(msg)
        if self.cycle is not None:  # whose body it was; nobody reads its answer now
            self.cycle.disconnected = True
            self.cycle.message_event.set()
