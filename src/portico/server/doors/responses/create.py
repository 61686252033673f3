"""POST /v1/responses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from portico.errors import RequestError
from portico.protocol.request import ChatPrompt, GenerationRequest, Layout, Terms, ThinkWish
from portico.protocol.sampling import Guided, SamplingParams
from portico.server.body import read_body
from portico.server.describe import describe
from portico.server.disconnect import while_connected
from portico.server.doors.responses.fitting import prepare_fitting
from portico.server.doors.responses.ids import response_id
from portico.server.doors.responses.items import Item, read_items
from portico.server.doors.responses.kept import Shelf
from portico.server.doors.responses.messages import messages_of
from portico.server.doors.responses.output import Output
from portico.server.doors.responses.params import ENCRYPTED, check_fields, logprobs_of
from portico.server.doors.responses.response import begun
from portico.server.doors.responses.run import Run, Runs, as_stream
from portico.server.doors.responses.schema import CreateResponse, ResponseObject
from portico.server.doors.responses.tools import Toolset, client_names, read_tools
from portico.server.middleware import context_of
from portico.server.service import Service
from portico.server.sse import EventStream
from portico.server.wording import wrong
from portico.text.pipeline import Prepared
from portico.text.tools.wish import read_wish

ANY_OBJECT = '{"type": "object"}'
IGNORED = "x-portico-ignored"


def router(service: Service, runs: Runs) -> APIRouter:
    """The route that makes responses."""
    routes = APIRouter(tags=["responses"])

    @routes.post("/v1/responses", **describe(CreateResponse, ResponseObject))
    async def create_response(http: Request) -> Response:
        """Answer items with items."""
        body = await read_body(http, CreateResponse)
        context = context_of(http.scope)
        shelf = Shelf(service, context.key_digest)
        terms = service.terms(http, body.priority)
        call = await _understand(body, context.rename("resp"), service, shelf, terms)
        prepared = await while_connected(http.receive, _prepare(call, service))
        run = _run(body, call, prepared, service, shelf)
        if body.stream:
            events = as_stream(runs.events(shelf.key(run.response["id"]), run))
            return EventStream(events, on_crash=run.broken, headers=call.headers, beat=run.beat)
        whole = await while_connected(http.receive, run.whole())
        return Response(msgspec.json.encode(whole), headers=call.headers, media_type="application/json")

    return routes


@dataclass(frozen=True, slots=True)
class _Call:
    """A body that has been understood."""

    model: str
    request: GenerationRequest
    items: list[Item]
    tools: Toolset
    headers: dict[str, str]
    cuts: bool
    """Whether old turns may be left out."""


async def _understand(body: CreateResponse, request_id: str, service: Service, shelf: Shelf, terms: Terms) -> _Call:
    model = service.resolve_model(body.model)
    headers = check_fields(body, service)
    before = await _before(body.previous_response_id, shelf)
    items = [*before, *await read_items(body.input, response_id(request_id), shelf.item)]
    groups = [(f"input.{place}.tools", item["tools"]) for place, item in enumerate(items) if "tools" in item]
    tools = read_tools([("tools", body.tools or []), *groups])
    if tools.ignored:
        headers[IGNORED] = ", ".join([*filter(None, [headers.get(IGNORED)]), *tools.ignored])
    messages = messages_of(items, body.instructions)
    if not messages:
        raise wrong("input", "is []; it should have at least 1 item")
    with client_names(tools.places):
        choice = tools.choice(body.tool_choice)
        shown, calls = read_wish(tools.functions, choice, body.parallel_tool_calls is not False)
    prompt = ChatPrompt(
        messages,
        shown,
        Layout(variables=body.chat_template_kwargs or {}),
        calls,
        ThinkWish(effort=body.reasoning.effort if body.reasoning else None),
    )
    request = GenerationRequest(
        request_id,
        prompt,
        _sampling(body),
        max_tokens_param="max_output_tokens",
        prompt_param="input",
        terms=terms,
    )
    return _Call(model, request, items, tools, headers, body.truncation == "auto")


async def _before(name: str | None, shelf: Shelf) -> list[Item]:
    """What was read and answered up to a kept response; RequestError if it is not kept."""
    if name is None:
        return []
    kept = await shelf.get(name)
    if kept is None:
        raise RequestError(
            f"previous_response_id is {name!r:.80}, which is not kept here: it never was (store false), or was "
            "forgotten or deleted. Send the whole conversation as input.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    return [*kept.input, *kept.response["output"]]


async def _prepare(call: _Call, service: Service) -> Prepared:
    with client_names(call.tools.places):
        if call.cuts:
            return await prepare_fitting(service.pipeline, call.request)
        return await service.pipeline.prepare(call.request)


def _run(body: CreateResponse, call: _Call, prepared: Prepared, service: Service, shelf: Shelf) -> Run:
    name = response_id(call.request.request_id)
    output = Output(
        name,
        call.tools,
        summary=body.reasoning is not None and body.reasoning.summary is not None,
        seal=ENCRYPTED in (body.include or ()),
        as_ids=service.settings.tokens_as_ids,
    )
    return Run(
        service.pipeline,
        prepared,
        output,
        begun(body, name, call.model, prepared.add.params),
        shelf if body.store is not False else None,
        call.items,
    )


def _sampling(body: CreateResponse) -> SamplingParams:
    return SamplingParams(
        max_tokens=body.max_output_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        min_p=body.min_p,
        presence_penalty=body.presence_penalty or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        repetition_penalty=body.repetition_penalty,
        seed=body.seed,
        stop=tuple([body.stop] if isinstance(body.stop, str) else body.stop or []),
        logprobs=logprobs_of(body),
        guided=_guided(body.text.format if body.text else None),
    )


def _guided(wish: Mapping[str, Any] | None) -> Guided | None:
    """The form that the text is to have; RequestError for one that there is not."""
    match wish:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return Guided(kind="json", value=ANY_OBJECT, field="text.format")
        case {"type": "json_schema", "schema": dict(schema)}:
            return Guided(kind="json", value=json.dumps(schema), field="text.format.schema")
        case {"type": "json_schema"}:
            raise wrong("text.format.schema", "must be a JSON schema as an object")
    raise wrong("text.format.type", f"is {wish.get('type')!r:.80}; it must be text, json_object or json_schema")
