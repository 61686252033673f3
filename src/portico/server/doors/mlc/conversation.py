"""POST /v1/chat/completions with `--compat mlc-chat`: one conversation, of which a request is the next turn."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from portico.protocol.events import Failure, Finish, GenerationEvent, TextDelta, Usage
from portico.server.body import read_body
from portico.server.describe import describe
from portico.server.dialect import Dialect
from portico.server.disconnect import while_connected
from portico.server.doors.mlc.schema import NOT_HONOURED, ConversationAnswer, ConversationRequest
from portico.server.fields import check_extra
from portico.server.middleware import context_of
from portico.server.service import Service
from portico.server.sessions.converse import Begun, Turn, converse
from portico.server.sessions.history import Key
from portico.server.sse import EventStream

EVENT_BYTES = 128
"""Clients read so many at once and take them for one event."""
_OPEN = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"'
_CLOSE = b'"},"finish_reason":"stop"}]}\n\n'
TEXT_BYTES = EVENT_BYTES - len(_OPEN) - len(_CLOSE)

Events = AsyncGenerator[Begun | GenerationEvent, None]


def conversation_of(http: Request, service: Service) -> Key:
    """The one conversation of whoever asks; another one after each start, as it was."""
    return service.session(context_of(http.scope).key_digest, f"mlc-chat-{service.started}")


async def forget(key: Key, service: Service) -> None:
    """Begin a conversation anew, once the turn that runs in it is over."""
    async with service.sessions.hold(key):
        await service.sessions.end(key)


def router(service: Service) -> APIRouter:
    """The route of turns; GET too, as MLC-Chat's document has it."""
    routes = APIRouter(tags=["mlc-chat"])

    @routes.get("/v1/chat/completions", include_in_schema=False)
    @routes.post("/v1/chat/completions", **describe(ConversationRequest, ConversationAnswer))
    async def next_turn(http: Request) -> Response:
        """Answer the next turn of the conversation."""
        body = await read_body(http, ConversationRequest)
        headers = check_extra(body.model_extra or {}, NOT_HONOURED, service)
        request_id, key = context_of(http.scope).rename("chatcmpl"), conversation_of(http, service)
        turn = Turn(
            request_id,
            [message.model_dump(exclude_none=True) for message in body.messages],
            body.sampling(),
            key,
            max_tokens_param=body.length[1],
            prompt_param="messages",
            terms=service.terms(http),
        )
        if len(body.messages) > 1:
            await forget(key, service)
        events = converse(service.pipeline, service.sessions, turn)
        await while_connected(http.receive, anext(events))
        if body.stream:
            return EventStream(_stream(events, service.dialect), on_crash=service.dialect.last_words, headers=headers)
        whole = await while_connected(http.receive, _fold(events, request_id))
        return Response(msgspec.json.encode(whole), headers=headers, media_type="application/json")

    return routes


async def _stream(events: Events, dialect: Dialect) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for event in events:
            match event:
                case TextDelta(text=text):
                    for piece in short_events(text):
                        yield piece
                case Failure(error):
                    yield dialect.failed(error)


def short_events(text: str) -> Iterator[bytes]:
    """The text in events of at most EVENT_BYTES, none of which parts a character."""
    part = b""
    for character in text:
        encoded = msgspec.json.encode(character)[1:-1]
        if len(part) + len(encoded) > TEXT_BYTES:
            yield _OPEN + part + _CLOSE
            part = b""
        part += encoded
    if part:
        yield _OPEN + part + _CLOSE


async def _fold(events: Events, request_id: str) -> dict[str, Any]:
    """The whole answer; raises the error of a Failure."""
    said, reason, usage = "", "stop", Usage(0, 0, 0)
    async with aclosing(events):
        async for event in events:
            match event:
                case TextDelta(text=text):
                    said += text
                case Finish():
                    reason = event.reason
                case Usage():
                    usage = event
                case Failure(error):
                    raise error
    message = {"role": "assistant", "content": said, "name": None}
    return {
        "id": request_id,
        "object": "chat.completion",
        "created": int(time.time()),
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        },
    }
