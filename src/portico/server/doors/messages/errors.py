"""Anthropic's errors: a type for each status, and the request's id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.datastructures import Headers
from starlette.types import Scope

from portico.errors import RequestError
from portico.server.errors import ErrorShape
from portico.server.middleware import CONTEXT, context_of

PATH = "/v1/messages"
VERSION = "anthropic-version"
"""The header that Anthropic's clients send with every request."""
NO_THREADS = "thread_unsupported_request"
"""The code by which their client knows to send whole conversations instead."""
TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def is_of_anthropic(scope: Scope) -> bool:
    """Whether a client of Anthropic's asks."""
    return VERSION in Headers(scope=scope)


def error_shape(scope: Scope) -> ErrorShape | None:
    """The shape of errors of this door's routes, and of all others for Anthropic's clients; None: not ours."""
    path = scope["path"]
    if path != PATH and not path.startswith(f"{PATH}/") and not is_of_anthropic(scope):
        return None
    request_id = context_of(scope).shown_id if CONTEXT in scope else None  # none while the server stops

    def shape(error: RequestError) -> tuple[int, bytes]:
        return error.status, msgspec.json.encode(error_fields(error, request_id))

    return shape


def error_fields(error: RequestError, request_id: str | None) -> dict[str, Any]:
    """Anthropic's error object."""
    kind = TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    message = _message(error).encode("utf-8", "replace").decode()  # it may quote lone surrogates
    told: dict[str, Any] = {"type": kind, "message": message}
    if error.code == NO_THREADS:
        told["details"] = {"error_code": NO_THREADS, "unsupported": ["thread"]}
    return {"type": "error", "error": told, "request_id": request_id}


def _message(error: RequestError) -> str:
    """Coding clients shorten a conversation by themselves when they are told so in these words."""
    if error.code == "context_length_exceeded" and "prompt_tokens" in error.counts:
        return (
            f"prompt is too long: {error.counts['prompt_tokens']} tokens > {error.counts['max_model_len'] - 1} maximum"
        )
    return error.message
