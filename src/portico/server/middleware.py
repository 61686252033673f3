"""What every request passes before a door sees it: an id, the key, the limit on its size. Plain ASGI."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portico.errors import RequestError
from portico.server.errors import ErrorShape, error_response, internal_error, openai_error, shutting_down

log = logging.getLogger(__name__)

CLIENT_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
OPEN_PATHS = frozenset({"/health", "/version", "/ping"})
CONTEXT = "portico.request"


@dataclass(slots=True)
class RequestContext:
    """What is known of a request from its first byte on."""

    echo: str | None
    """The id that the client gave it, if it can be put into a header; never used as an id inside."""
    id: str = field(default_factory=lambda: f"req-{uuid.uuid4().hex}")
    key_digest: str = ""
    """Of the API key that it came with, where one is needed."""
    arrived: float = field(default_factory=time.monotonic)

    def rename(self, prefix: str) -> str:
        """Give the server's id the prefix of the kind of answer, as in chatcmpl-…, and return it."""
        self.id = f"{prefix}-{self.id.partition('-')[2]}"
        return self.id


def context_of(scope: Scope) -> RequestContext:
    """The context that `RequestIds` has made."""
    context = scope[CONTEXT]
    assert isinstance(context, RequestContext)
    return context


class RequestIds:
    """Gives every request its context and its answer an x-request-id; a crash or shutdown becomes an error object."""

    def __init__(self, app: ASGIApp, log_each: bool = True, shape: ErrorShape = openai_error) -> None:
        self._app = app
        self._shape = shape
        self._level = logging.INFO if log_each else logging.DEBUG

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("x-request-id", "")
        context = scope[CONTEXT] = RequestContext(asked if CLIENT_ID.fullmatch(asked) else None)
        begun, status = time.monotonic(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = context.echo or context.id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:
            if not status:
                await error_response(shutting_down(), self._shape)(scope, receive, send_with_id)
            raise
        except Exception:
            log.exception("%s: %s %s failed", context.id, scope["method"], scope["path"])
            if status:
                raise
            await error_response(internal_error(), self._shape)(scope, receive, send_with_id)
        finally:
            # Probes come every few seconds and say nothing new.
            level = logging.DEBUG if scope["path"] in OPEN_PATHS else self._level
            took = time.monotonic() - begun
            log.log(level, "%s: %s %r %d in %.3f s", context.id, scope["method"], scope["path"], status, took)


class BearerKeys:
    """Lets a request pass only with one of the keys, whatever its path, but for the few that probes need."""

    def __init__(self, app: ASGIApp, keys: Sequence[str], shape: ErrorShape = openai_error) -> None:
        self._app = app
        self._shape = shape
        # Digests all have one length, so that comparing them tells nothing about a key's.
        self._digests = [_digest(key.encode()) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._allows(scope):
            await self._app(scope, receive, send)
            return
        error = RequestError(
            "The API key is missing or wrong; send it as 'Authorization: Bearer KEY'.",
            status=401,
            type="authentication_error",
            code="invalid_api_key",
        )
        await error_response(error, self._shape, {"www-authenticate": "Bearer"})(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        digest = _digest(key.strip().encode("latin-1"))
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        if any(matches):
            context_of(scope).key_digest = digest.hex()
        return any(matches)


class ShownUnder:
    """Tells the application the path under which a proxy shows it, which then stands in its documents."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "root_path": self._path}, receive, send)


class BodyLimit:
    """Refuses a body over the limit: by its announced length at once, else when it has grown past it."""

    def __init__(self, app: ASGIApp, max_bytes: int, shape: ErrorShape = openai_error) -> None:
        self._app = app
        self._shape = shape
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced) > self._max_bytes:
            # Not "connection: close": closing with unread data would reset the connection under the answer.
            await error_response(self._too_large(), self._shape)(scope, receive, send)
            return
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise self._too_large()
            return message

        await self._app(scope, receive_within_limit, send)

    def _too_large(self) -> RequestError:
        return RequestError(
            f"The request's body is larger than {self._max_bytes} bytes.", status=413, code="request_too_large"
        )


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
