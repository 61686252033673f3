"""LMDeploy's errors: one flat object, whose `code` is the HTTP status."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from portico.errors import RequestError
from portico.server.doors.lmdeploy.schema import FlatError


def error_body(error: RequestError) -> bytes:
    """JSON text of LMDeploy's error object, in one line."""
    message = error.message.encode("utf-8", "replace").decode()  # it may quote lone surrogates
    fields = {"message": message, "type": error.type, "code": error.status, "param": error.param, "object": "error"}
    return msgspec.json.encode(fields)


FLAT_ERRORS: dict[int | str, dict[str, Any]] = {"default": {"model": FlatError, "description": "An error."}}
"""What the routes below have for the OpenAPI document."""


class FlatErrors(APIRoute):
    """A route whose errors have LMDeploy's shape."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI."""
        plain = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await plain(request)
            except RequestError as error:
                return Response(error_body(error), error.status, media_type="application/json")

        return handle


def check_ranges(*, top_p: float | None, top_k: int | None, temperature: float | None) -> None:
    """RequestError, in LMDeploy's words, for a value that is out of range."""
    if top_p is not None and not 0 < top_p <= 1:
        raise RequestError(f"The top_p {top_p} must be in (0, 1].", param="top_p", code="invalid_value")
    if top_k is not None and top_k < 0:
        raise RequestError(f"The top_k {top_k} cannot be a negative integer.", param="top_k", code="invalid_value")
    if temperature is not None and not 0 <= temperature <= 2:
        raise RequestError(
            f"The temperature {temperature} must be in [0, 2]", param="temperature", code="invalid_value"
        )
