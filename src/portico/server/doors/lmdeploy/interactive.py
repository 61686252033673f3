"""POST /v1/chat/interactive: a conversation of which a client sends only what is new."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from portico.errors import RequestError
from portico.protocol.events import Failure, Finish, GenerationEvent, TextDelta, Usage
from portico.server.body import read_body
from portico.server.describe import describe
from portico.server.disconnect import while_connected
from portico.server.doors.lmdeploy.errors import FLAT_ERRORS, FlatErrors, check_ranges, error_body
from portico.server.doors.lmdeploy.schema import NEW_SESSION, NOT_HONOURED, InteractiveAnswer, InteractiveRequest
from portico.server.fields import check_extra
from portico.server.middleware import context_of
from portico.server.service import Service
from portico.server.sessions.converse import Begun, SessionFullError, Turn, converse
from portico.server.sessions.history import Key
from portico.server.sse import EventStream

Events = AsyncGenerator[Begun | GenerationEvent, None]


def router(service: Service) -> APIRouter:
    """The route of conversations."""
    routes = APIRouter(tags=["lmdeploy"], route_class=FlatErrors, responses=FLAT_ERRORS)

    @routes.post("/v1/chat/interactive", **describe(InteractiveRequest, InteractiveAnswer))
    async def chat_interactive(http: Request) -> Response:
        """Answer the next turn of a conversation; a stream is one JSON object a line."""
        body = await read_body(http, InteractiveRequest)
        headers = check_extra(body.model_extra or {}, NOT_HONOURED, service)
        key = _key(body, http, service)
        if body.cancel:
            await service.sessions.stop(_asked_for(key))
            return _whole(_piece("", 0, None, "stop"), headers)
        if _ends_session(body):
            if key is not None:
                async with service.sessions.hold(key):
                    await service.sessions.end(key)
            return _whole(_piece("", 0, None, "stop"), headers)
        turn = replace(_understand(body, context_of(http.scope).rename("chat"), key), terms=service.terms(http))
        events = converse(service.pipeline, service.sessions, turn)
        try:
            begun = await while_connected(http.receive, anext(events))
            assert isinstance(begun, Begun)
        except SessionFullError as full:
            last = _piece("", 0, full.begun, "length")
            return EventStream(_line(last), on_crash=_crash, headers=headers) if body.stream else _whole(last, headers)
        if body.stream:
            return EventStream(_lines(events, begun), on_crash=_crash, headers=headers)
        return _whole(await while_connected(http.receive, _fold(events, begun)), headers)

    return routes


def _key(body: InteractiveRequest, http: Request, service: Service) -> Key | None:
    if body.session_id == NEW_SESSION:
        return None
    return service.session(context_of(http.scope).key_digest, str(body.session_id))


def _asked_for(key: Key | None) -> Key:
    if key is None:
        raise RequestError("please set a session_id to cancel a request", param="session_id", code="invalid_value")
    return key


def _ends_session(body: InteractiveRequest) -> bool:
    return not body.interactive_mode and not body.prompt and body.request_output_len == 0


def _understand(body: InteractiveRequest, request_id: str, key: Key | None) -> Turn:
    check_ranges(top_p=body.top_p, top_k=body.top_k, temperature=body.temperature)
    if body.image_url:
        raise RequestError("`image_url` argument only works for VL model", param="image_url", code="unsupported")
    if not body.prompt:
        raise RequestError(
            "prompt is empty; to end a session, send it with request_output_len 0 and interactive_mode false.",
            param="prompt",
            code="empty_prompt",
        )
    most = body.request_output_len
    if body.min_new_tokens is not None and most is not None and body.min_new_tokens > most:
        raise RequestError(
            f"min_new_tokens is {body.min_new_tokens}; it must be at most request_output_len, {most}.",
            param="min_new_tokens",
            code="invalid_value",
        )
    sampling = body.sampling(
        max_tokens=most or None,
        top_p=body.top_p,
        top_k=body.top_k,
        temperature=body.temperature,
        repetition_penalty=body.repetition_penalty,
        min_p=body.min_p,
        min_tokens=body.min_new_tokens or 0,
        seed=body.seed or None,
    )
    return Turn(
        request_id,
        _messages(body),
        sampling,
        key,
        goes_on=body.interactive_mode,
        step=body.step or 0,
        answers=most != 0,
        max_tokens_param="request_output_len",
    )


def _messages(body: InteractiveRequest) -> list[dict[str, Any]]:
    if isinstance(body.prompt, str):
        return [{"role": "user", "content": body.prompt}]
    return [message.model_dump(exclude_unset=True) for message in body.prompt]


def _piece(text: str, tokens: int, begun: Begun | None, reason: str | None) -> dict[str, Any]:
    return {
        "text": text,
        "tokens": tokens,
        "input_tokens": begun.input_tokens if begun else 0,
        "history_tokens": begun.history_tokens if begun else 0,
        "finish_reason": reason,
    }


async def _pieces(events: Events, begun: Begun) -> AsyncGenerator[dict[str, Any], None]:
    """What each event adds, the last piece with the reason; raises the error of a Failure."""
    tokens, reason = 0, None
    async with aclosing(events):
        async for event in events:
            match event:
                case TextDelta(text=text, token_count=count):
                    tokens += count
                    yield _piece(text, tokens, begun, None)
                case Finish():
                    reason = event.reason
                case Usage(completion_tokens=tokens):
                    yield _piece("", tokens, begun, reason)
                case Failure(error):
                    raise error


async def _fold(events: Events, begun: Begun) -> dict[str, Any]:
    text, whole = "", _piece("", 0, begun, None)
    async with aclosing(_pieces(events, begun)) as pieces:
        async for whole in pieces:
            text += whole["text"]
    return {**whole, "text": text}


async def _lines(events: Events, begun: Begun) -> AsyncGenerator[bytes, None]:
    async with aclosing(_pieces(events, begun)) as pieces:
        try:
            async for piece in pieces:
                yield msgspec.json.encode(piece) + b"\n"
        except RequestError as error:
            yield _crash(error)


async def _line(piece: dict[str, Any]) -> AsyncGenerator[bytes, None]:
    yield msgspec.json.encode(piece) + b"\n"


def _crash(error: RequestError) -> bytes:
    return error_body(error) + b"\n"


def _whole(piece: dict[str, Any], headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(piece), headers=headers, media_type="application/json")
