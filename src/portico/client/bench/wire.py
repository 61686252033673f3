"""HTTP/1.1 with little work for each piece of an answer, for a client that shares the machine with the server.

General clients take two to four times as long for a streamed piece (docs/bench.md). Connections are used again.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

Take = Callable[[bytes], None]
"""Gets the pieces of a body as they come."""
HEAD_LIMIT = 1 << 16
ROOM = 1 << 14


class WireError(Exception):
    """A request that got no whole answer; `kind` says in a few words how."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(detail or kind)
        self.kind = kind


@dataclass(slots=True)
class Answer:
    """The head of an answer, and its body unless somebody else took it."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class Connection(asyncio.BufferedProtocol):
    """One connection, with one request at a time."""

    def __init__(self) -> None:
        self.open = False
        self._transport: asyncio.Transport | None = None
        self._room = bytearray(ROOM)  # asyncio would take 256 KiB from the system for each read
        self._buffer = bytearray()
        self._read: Callable[[], bool] = self._head
        self._answer = Answer()
        self._take: Take | None = None
        self._done: asyncio.Future[Answer] | None = None
        self._left = 0

    @property
    def answered(self) -> bool:
        """Whether anything of the latest answer has come."""
        return bool(self._answer.status or self._buffer)

    async def ask(self, request: bytes, take: Take | None) -> Answer:
        """Send a request and wait for the end of its answer; `take` gets the body if the status is 200."""
        assert self._transport is not None
        self._answer, self._take, self._read = Answer(), take, self._head
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._done
        except BaseException:
            self.close()
            raise
        finally:
            self._done = None

    def close(self) -> None:
        """Close it, whatever is still to come."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self.open = transport, True

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if self._done is None or self._done.done():
            return
        if error is None and self._read == self._until_closed:
            self._done.set_result(self._answer)
        else:
            when = "in the middle of an answer" if self._answer.status else "before an answer"
            self._done.set_exception(WireError("connection lost", f"the connection was lost {when}"))

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        self._buffer += memoryview(self._room)[:nbytes]
        try:
            while self._buffer and self._read():
                pass
        except (ValueError, IndexError, WireError) as error:
            self._end(error if isinstance(error, WireError) else WireError("not HTTP", f"not HTTP: {error}"))

    def _end(self, error: WireError | None = None) -> bool:
        self._read = self._head
        if self._done is not None and not self._done.done():
            if error is None:
                self._done.set_result(self._answer)
            else:
                self._done.set_exception(error)
        if error is not None or self._answer.headers.get("connection", "").lower() == "close":
            self.close()
        return False

    def _give(self, piece: bytes) -> None:
        if self._take is not None and self._answer.status == 200:
            self._take(piece)
        else:
            self._answer.body += piece

    def _head(self) -> bool:
        if self._done is None or self._done.done():
            raise WireError("not HTTP", "the server sent more than was asked for")
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_LIMIT:
                raise WireError("not HTTP", "the head of the answer has no end")
            return False
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        status = int(first.split(" ", 2)[1])
        if status < 200:  # an interim answer
            return True
        fields = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in fields}
        self._answer = Answer(status, headers)
        if headers.get("transfer-encoding", "").lower() == "chunked":
            self._read = self._size
        elif "content-length" in headers:
            self._left, self._read = int(headers["content-length"]), self._counted
            return self._left > 0 or self._end()
        else:
            self._read = self._until_closed
        return True

    def _counted(self) -> bool:
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: self._left]
        self._left -= len(piece)
        self._give(piece)
        return False if self._left else self._end()

    def _until_closed(self) -> bool:
        self._give(bytes(self._buffer))
        self._buffer.clear()
        return False

    def _size(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        self._left = int(self._buffer[:end].split(b";")[0], 16)
        del self._buffer[: end + 2]
        self._read = self._chunk if self._left else self._trailer
        return True

    def _chunk(self) -> bool:
        if len(self._buffer) < self._left + 2:
            return False
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: self._left + 2]
        self._read = self._size
        self._give(piece)
        return True

    def _trailer(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        del self._buffer[: end + 2]
        return True if end else self._end()


class Wire:
    """Requests to one server."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None, *, verify: bool = True) -> None:
        """`url` with or without a path, below which all paths are; ValueError if it is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url} is no URL of a server; it must be like http://127.0.0.1:8000")
        self._host, self._port = parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]
        self._below = parts.path.rstrip("/")
        self._ssl: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._ssl = ssl.create_default_context()
            if not verify:
                self._ssl.check_hostname, self._ssl.verify_mode = False, ssl.CERT_NONE
        given = {"Host": parts.netloc.rpartition("@")[2], "Content-Type": "application/json", **(headers or {})}
        if any("\r" in text or "\n" in text for pair in given.items() for text in pair):
            raise ValueError("a header has a line end in it")
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        self._idle: list[Connection] = []

    async def ask(self, method: str, path: str, body: bytes = b"", take: Take | None = None) -> Answer:
        """The answer to one request, whatever its status; raises WireError where there is none, or not all of it."""
        head = f"{method} {self._below}{path} HTTP/1.1\r\n{self._headers}Content-Length: {len(body)}\r\n\r\n"
        request = head.encode("latin-1", "replace") + body
        kept = self._kept()
        connection = kept or await self._connect()
        try:
            answer = await connection.ask(request, take)
        except WireError:
            if kept is None or kept.answered:
                raise
            connection = await self._connect()  # it was closed while it was kept, as servers do after some seconds
            answer = await connection.ask(request, take)
        if connection.open:
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            self._idle.pop().close()

    def _kept(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(Connection, self._host, self._port, ssl=self._ssl)
        except OSError as error:
            raise WireError("not connected", f"{self._host}:{self._port}: {error}") from error
        return connection
