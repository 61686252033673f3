"""Closing a connection whose client still sends: the answer must be read before the system throws it away.

To close with unread data resets the connection, and a reset may overtake the answer. So the server's side is ended
first, and what comes is dropped, until the client has gone or the time is over (RFC 9112, section 9.6).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

SECONDS = 5.0
"""That a client may go on sending what nobody wants."""


def _nothing_more() -> bool:
    return False


class LingeringTransport(asyncio.Transport):
    """A connection's transport that lingers where the protocol closes it while the client still sends.

    `sends` says whether it does at the moment.
    """

    def __init__(self, transport: asyncio.Transport, sends: Callable[[], bool]) -> None:
        super().__init__()
        self._transport = transport
        self._sends = sends
        self._timer: asyncio.TimerHandle | None = None

    @property
    def lingers(self) -> bool:
        """Whether the protocol has closed it: what comes now is for nobody."""
        return self._timer is not None

    def close(self) -> None:
        """Close, but let a client that still sends read what it has been told."""
        if self.lingers or self._transport.is_closing():
            return
        if not self._sends():
            self._transport.close()
            return
        self._timer = asyncio.get_running_loop().call_later(SECONDS, self._transport.abort)
        if self._transport.can_write_eof():  # not with TLS, where the answer's own length says where it ends
            self._transport.write_eof()
        self._transport.resume_reading()

    def end(self) -> None:
        """Close now, whatever the client does; what is unsent is still sent."""
        self._transport.close()

    def forget(self) -> None:
        """The connection is gone: hold on to nothing of it, so that its memory needs no search for garbage."""
        self._sends = _nothing_more

    def abort(self) -> None:
        """Close at once; what is unsent is lost."""
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether it is closed to the protocol."""
        return self.lingers or self._transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send."""
        self._transport.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Send all of them."""
        self._transport.writelines(list_of_data)

    def is_reading(self) -> bool:
        """Whether what comes is read."""
        return self._transport.is_reading()

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection."""
        return self._transport.get_extra_info(name, default)
