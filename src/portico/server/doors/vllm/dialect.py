"""How vLLM says what OpenAI's routes say: errors have the HTTP status for a code, and its own names of types."""

from __future__ import annotations

import msgspec

from portico.errors import RequestError
from portico.server.dialect import Dialect
from portico.server.doors.vllm.schema import VllmError

UNAUTHORIZED = 401
TYPES = {400: "BadRequestError", 404: "NotFoundError", 500: "InternalServerError", 503: "ServiceUnavailableError"}


def _error(error: RequestError) -> tuple[int, bytes]:
    if error.status == UNAUTHORIZED:
        return error.status, b'{"error":"Unauthorized"}'
    return error.status, _nested(error)


def _nested(error: RequestError) -> bytes:
    message = error.message.encode("utf-8", "replace").decode()  # it may quote lone surrogates
    kind = TYPES.get(error.status, error.type)
    return msgspec.json.encode(
        {"error": {"message": message, "type": kind, "param": error.param, "code": error.status}}
    )


VLLM = Dialect(error=_error, error_model=VllmError, failure=_nested)
