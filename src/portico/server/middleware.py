"""What every request passes before a door sees it: an id, the key, the limit on its size. Plain ASGI."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portico.errors import RequestError
from portico.logs import about
from portico.server.errors import (
    CONTENT_TOO_LARGE,
    ERROR_CODE,
    ShapeOf,
    error_response,
    internal_error,
    openai_shape,
    shutting_down,
)

log = logging.getLogger(__name__)

CLIENT_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
OPEN_PATHS = frozenset({"/health", "/version", "/ping"})
CONTEXT = "portico.request"
ID_HEADERS = ("x-request-id", "request-id")
"""Where OpenAI's and where Anthropic's clients look for the id of a request."""


@dataclass(slots=True)
class RequestContext:
    """What is known of a request from its first byte on."""

    echo: str | None
    """The id that the client gave it, if it can be put into a header; never used as an id inside."""
    id: str = field(default_factory=lambda: f"req-{uuid.uuid4().hex}")
    key_digest: str = ""
    """Of the API key that it came with, where one is needed."""
    arrived: float = field(default_factory=time.monotonic)
    status: int = 0
    """Of the answer; 0 until it has begun."""

    @property
    def shown_id(self) -> str:
        """The id under which the client knows the request."""
        return self.echo or self.id

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
    """Gives every request its context and its answer that id; a crash or shutdown becomes an error object."""

    def __init__(
        self,
        app: ASGIApp,
        log_each: bool = True,
        shape_of: ShapeOf = openai_shape,
        on_answer: Callable[[int, str], None] = lambda status, code: None,
        quiet_paths: Collection[str] = (),
    ) -> None:
        """`on_answer` is told the status of each answer and the word of its error, empty without one.

        Requests for `quiet_paths` are logged as details only, and so are probes, which come every few seconds.
        """
        self._app = app
        self._on_answer = on_answer
        self._quiet = OPEN_PATHS.union(quiet_paths)
        self._shape_of = shape_of
        self._level = logging.INFO if log_each else logging.DEBUG

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("x-request-id", "")
        context = scope[CONTEXT] = RequestContext(asked if CLIENT_ID.fullmatch(asked) else None)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                context.status, headers = message["status"], MutableHeaders(scope=message)
                for name in ID_HEADERS:
                    headers[name] = context.shown_id
                self._on_answer(context.status, headers.get(ERROR_CODE, ""))
                del headers[ERROR_CODE]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:
            if not context.status:
                await error_response(shutting_down(), self._shape_of(scope))(scope, receive, send_with_id)
            raise
        except Exception:
            log.exception("%s: %s %r failed", context.id, scope["method"], scope["path"], extra=self._about(scope))
            if context.status:
                raise
            await error_response(internal_error(), self._shape_of(scope))(scope, receive, send_with_id)
        finally:
            level = logging.DEBUG if scope["path"] in self._quiet else self._level
            took = round(time.monotonic() - context.arrived, 6)
            extra = self._about(scope, status=context.status, seconds=took)
            theirs = "" if context.echo is None else f" ({context.echo})"
            line = "%s%s: %s %r %d in %.3f s"
            log.log(level, line, context.id, theirs, scope["method"], scope["path"], context.status, took, extra=extra)

    def _about(self, scope: Scope, **fields: object) -> dict[str, dict[str, object]]:
        context = context_of(scope)
        given = {} if context.echo is None else {"x_request_id": context.echo}
        return about(context.id, **given, method=scope["method"], path=scope["path"], **fields)


class BearerKeys:
    """Lets a request pass only with one of the keys, whatever its path, but for the few that probes need."""

    def __init__(self, app: ASGIApp, keys: Sequence[str], shape_of: ShapeOf = openai_shape) -> None:
        self._app = app
        self._shape_of = shape_of
        # Digests all have one length, so that comparing them tells nothing about a key's.
        self._digests = [_digest(key.encode()) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._allows(scope):
            await self._app(scope, receive, send)
            return
        error = RequestError(
            "The API key is missing or wrong; send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'.",
            status=401,
            type="authentication_error",
            code="invalid_api_key",
        )
        await error_response(error, self._shape_of(scope), {"www-authenticate": "Bearer"})(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        for key in _sent_keys(Headers(scope=scope)):
            digest = _digest(key.strip().encode("latin-1"))
            matches = [hmac.compare_digest(digest, known) for known in self._digests]  # always all of them
            if any(matches):
                context_of(scope).key_digest = digest.hex()
                return True
        return False


class ShownUnder:
    """Tells the application the path under which a proxy shows it, which then stands in its documents."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "root_path": self._path}, receive, send)


class BodyLimit:
    """Refuses a body over the limit: by its announced length at once, else when it has grown past it."""

    def __init__(self, app: ASGIApp, max_bytes: int, shape_of: ShapeOf = openai_shape) -> None:
        self._app = app
        self._shape_of = shape_of
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced) > self._max_bytes:
            await error_response(self._too_large(), self._shape_of(scope))(scope, receive, send)
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
            f"The request's body is larger than {self._max_bytes} bytes.",
            status=CONTENT_TOO_LARGE,
            code="request_too_large",
        )


def _sent_keys(headers: Headers) -> Iterator[str]:
    """The keys that a request comes with, as OpenAI's and as Anthropic's clients send theirs."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        yield key
    if "x-api-key" in headers:
        yield headers["x-api-key"]


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
