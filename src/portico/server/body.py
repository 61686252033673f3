"""From the bytes of a request to a checked body, with errors that name place and field."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect

from portico.errors import RequestError
from portico.protocol.limits import LIMITS
from portico.server.disconnect import ClientGoneError
from portico.server.json_shape import check_shape

THREAD_FROM_BYTES = 32 * 1024
"""Bodies this large are parsed in a thread (up to 1 ms of work), so that streams do not stall."""
QUOTED_CHARACTERS = 80

Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, model: type[Body]) -> Body:
    """The request's JSON body as `model`; RequestError 400 for anything else, 415 for what is compressed."""
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise RequestError(
            f"The body's Content-Encoding is {coding[:40]!r}; send it as it is, without compression.",
            status=415,
            param="Content-Encoding",
            code="unsupported_content_encoding",
        )
    try:
        data = await request.body()
    except ClientDisconnect as error:
        raise ClientGoneError from error
    if len(data) < THREAD_FROM_BYTES:
        return parse_body(data, model)
    return await asyncio.to_thread(parse_body, data, model)


def parse_body(data: bytes, model: type[Body]) -> Body:
    """JSON text as `model`; RequestError 400 that says where the text is broken or which field is wrong."""
    check_shape(data, LIMITS)
    raw = _parse_json(data)
    if not isinstance(raw, dict):
        raise RequestError(f"The body must be a JSON object; it is {_quote(raw)}.", code="invalid_json")
    _check_entries(raw)
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise _named(error.errors(include_url=False, include_context=False), raw) from error


def _parse_json(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        message = str(error)
        place = "" if "(byte " in message else f" (byte {len(data)})"
        raise RequestError(f"The body is not valid JSON: {message}{place}.", code="invalid_json") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"The body is not valid UTF-8 (byte {error.start}).", code="invalid_json") from error
    except RecursionError as error:
        raise RequestError("The body is nested too deeply.", code="invalid_json") from error


def _check_entries(raw: dict[str, Any]) -> None:
    for name, most in LIMITS.entries.items():
        value = raw.get(name)
        if isinstance(value, list | dict) and len(value) > most:
            raise RequestError(
                f"{name} has {len(value)} entries; at most {most} are allowed.", param=name, code="invalid_value"
            )


def _named(errors: Sequence[ErrorDetails], raw: dict[str, Any]) -> RequestError:
    """The error of the field that is deepest in the body; alternatives that it failed are joined."""
    located = [(_path(error, raw), error) for error in errors]
    path = max((path for path, _ in located), key=len)
    same = [error for other, error in located if other == path]
    wishes = " or ".join(dict.fromkeys(_wish(error) for error in same))
    dotted = ".".join(map(str, path))
    if same[0]["type"] == "missing":
        return RequestError(f"{dotted} is missing.", param=dotted, code="missing_required_parameter")
    return RequestError(f"{dotted} is {_quote(same[0]['input'])}; it {wishes}.", param=dotted, code="invalid_type")


def _path(error: ErrorDetails, raw: Any) -> tuple[str | int, ...]:
    """pydantic's location without the names of union members, which are no part of the body."""
    path: list[str | int] = []
    place = raw
    for step in error["loc"]:
        is_key = isinstance(place, dict) and step in place
        is_index = isinstance(place, list) and isinstance(step, int)
        if is_key or is_index:
            place = place[step]
            path.append(step)
    if error["type"] == "missing":
        path.append(error["loc"][-1])
    return tuple(path)


def _wish(error: ErrorDetails) -> str:
    wish = re.sub(r"^[A-Z]\w* should", "should", error["msg"])
    return re.sub(r" after validation, not \d+$", "", wish)


def _quote(value: Any) -> str:
    """A value as JSON, cut to a readable length; the type of one that is deep or has no JSON form."""
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        return f"a {type(value).__name__}"
    return text if len(text) <= QUOTED_CHARACTERS else f"{text[:QUOTED_CHARACTERS]}…"
