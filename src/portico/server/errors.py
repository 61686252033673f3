"""Errors as HTTP answers: one JSON object, in OpenAI's shape or the caller's, whatever went wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from portico.errors import EngineError, RequestError
from portico.server.disconnect import ClientGoneError

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for an answer that nobody reads."""
CONTENT_TOO_LARGE = 413
ErrorShape = Callable[[RequestError], tuple[int, bytes]]
"""What an error is as an answer: the HTTP status and the JSON text of the body."""
ShapeOf = Callable[[Scope], ErrorShape]
"""The shape of a request's errors, which the API has that it is a call of."""
ERROR_CODE = "x-portico-error-code"
"""A header in which the word of an error travels to whoever counts them; it does not leave the server."""
BODY_TIMEOUT = "body_timeout"
"""The code of a request whose body did not come; what is behind it on its connection cannot be told apart."""
CODES = {404: "not_found", 405: "method_not_allowed"}


def error_body(error: RequestError) -> bytes:
    """JSON text of OpenAI's error object."""
    fields = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return msgspec.json.encode({"error": _encodable(fields)})


def openai_error(error: RequestError) -> tuple[int, bytes]:
    """OpenAI's shape of errors."""
    return error.status, error_body(error)


def openai_shape(scope: Scope) -> ErrorShape:
    """OpenAI's, whatever the request."""
    return openai_error


def shape_by_caller(default: ErrorShape, others: Sequence[Callable[[Scope], ErrorShape | None]]) -> ShapeOf:
    """The shape of the first of the others that knows the request for one of its own."""

    def shape_of(scope: Scope) -> ErrorShape:
        return next((shape for other in others if (shape := other(scope)) is not None), default)

    return shape_of


def error_response(error: RequestError, shape: ErrorShape, headers: dict[str, str] | None = None) -> Response:
    """The whole answer of a request that failed before anything was sent."""
    status, body = shape(error)
    headers = {**_headers(error), **(headers or {}), ERROR_CODE: error.code or ""}
    return Response(body, status, headers, "application/json")


def _headers(error: RequestError) -> dict[str, str]:
    """What clients go by that try again by themselves, or use their connection again."""
    if "retry_after" in error.counts:
        return {"retry-after": str(error.counts["retry_after"])}
    if error.status == CONTENT_TOO_LARGE or error.code == BODY_TIMEOUT:  # more may come, and it is not going to be read
        return {"connection": "close"}
    # OpenAI's clients would ask twice more for what took too long, and make a busy server busier.
    return {"x-should-retry": "false"} if error.code == "request_timeout" else {}


def internal_error() -> EngineError:
    """What a client is told of a fault of ours: nothing of its inside, which may hold secrets."""
    return EngineError("The server met an unexpected error; its log says more.", code="internal_error")


def shutting_down() -> EngineError:
    """What a client is told whose request was still running when the server's time to drain was over."""
    return EngineError("The server is shutting down.", status=503, code="shutting_down")


def install(app: FastAPI, shape_of: ShapeOf) -> None:
    """Make every error that a route or the router raises come out in the shape of its request."""

    async def on_request_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestError)
        return error_response(error, shape_of(request.scope))

    async def on_http_exception(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return error_response(_wrapped(error, request), shape_of(request.scope), dict(error.headers or {}))

    app.add_exception_handler(RequestError, on_request_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(ClientGoneError, _on_client_gone)


def _wrapped(error: HTTPException, request: Request) -> RequestError:
    """The router's errors as ours."""
    if error.status_code == 404:
        message = f"There is no {request.url.path} here; GET /openapi.json lists what there is."
    elif error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        message = f"{request.method} is not allowed on {request.url.path}; use {allowed}."
    else:
        message = str(error.detail)
    return RequestError(message, status=error.status_code, code=CODES.get(error.status_code))


async def _on_client_gone(request: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


def _encodable(fields: dict[str, Any]) -> dict[str, Any]:
    """Lone surrogates, which a message may quote, have no UTF-8 form."""
    return {
        name: value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value
        for name, value in fields.items()
    }
