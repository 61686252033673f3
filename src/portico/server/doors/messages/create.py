"""POST /v1/messages and POST /v1/messages/count_tokens."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from portico.protocol.request import GenerationRequest
from portico.protocol.sampling import SamplingParams
from portico.server.body import read_body
from portico.server.describe import describe
from portico.server.disconnect import while_connected
from portico.server.doors.messages.output import Output
from portico.server.doors.messages.run import Run
from portico.server.doors.messages.schema import CountTokens, CreateMessage, MessageError, MessageObject, TokenCount
from portico.server.doors.messages.tools import NAMES
from portico.server.doors.messages.understand import check_fields, prompt_of, request_of
from portico.server.middleware import context_of
from portico.server.service import Service
from portico.server.sse import EventStream
from portico.server.wording import said_as_sent


def router(service: Service) -> APIRouter:
    """The routes that make messages and count what they would cost."""
    errors: dict[int | str, dict[str, Any]] = {"default": {"model": MessageError, "description": "An error."}}
    routes = APIRouter(tags=["messages"], responses=errors)

    @routes.post("/v1/messages", **describe(CreateMessage, MessageObject))
    async def create_message(http: Request) -> Response:
        """Answer a conversation of blocks with blocks."""
        body = await read_body(http, CreateMessage)
        run, headers = await _begin(http, body, service)
        if body.stream:
            return EventStream(run.stream(), on_crash=run.broken, headers=headers, beat=run.beat)
        whole = await while_connected(http.receive, run.whole())
        return Response(msgspec.json.encode(whole), headers=headers, media_type="application/json")

    @routes.post("/v1/messages/count_tokens", **describe(CountTokens, TokenCount))
    async def count_tokens(http: Request) -> Response:
        """How many tokens the model would read, chat template and tools included."""
        body = await read_body(http, CountTokens)
        service.resolve_model(body.model)
        headers = check_fields(body, service)
        with said_as_sent(NAMES):
            prompt = prompt_of(body, service)
            request_id = context_of(http.scope).rename("count")
            request = GenerationRequest(request_id, prompt, SamplingParams(), prompt_param="messages")
            ids = await while_connected(http.receive, service.pipeline.tokenize(request))
        return Response(msgspec.json.encode({"input_tokens": len(ids)}), headers=headers, media_type="application/json")

    return routes


async def _begin(http: Request, body: CreateMessage, service: Service) -> tuple[Run, dict[str, str]]:
    """The answer to a body, checked and ready to be made, and its headers."""
    context = context_of(http.scope)
    request_id = context.rename("msg")
    model = service.resolve_model(body.model)
    headers = check_fields(body, service)
    with said_as_sent(NAMES):
        request = request_of(body, request_id, service, service.terms(http, body.priority))
        prepared = await while_connected(http.receive, service.pipeline.prepare(request))
    is_shown = body.thinking is None or body.thinking.display != "omitted"
    run = Run(
        service.pipeline,
        prepared,
        Output(shows_thinking=is_shown),
        request_id.replace("-", "_", 1),
        model,
        body.max_tokens,
        context.shown_id,
    )
    return run, headers
