"""POST /v1/encode: text to tokens."""

from __future__ import annotations

import asyncio

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from portico.protocol.request import ChatPrompt, GenerationRequest, TextPrompt
from portico.protocol.sampling import SamplingParams
from portico.server.body import read_body
from portico.server.describe import describe
from portico.server.disconnect import while_connected
from portico.server.doors.lmdeploy.errors import FLAT_ERRORS, FlatErrors
from portico.server.doors.lmdeploy.schema import NOT_HONOURED, EncodeAnswer, EncodeRequest
from portico.server.fields import check_extra
from portico.server.middleware import context_of
from portico.server.service import Service


def router(service: Service) -> APIRouter:
    """The route of encoding."""
    routes = APIRouter(tags=["lmdeploy"], route_class=FlatErrors, responses=FLAT_ERRORS)

    @routes.post("/v1/encode", **describe(EncodeRequest, EncodeAnswer))
    async def encode(http: Request) -> Response:
        """The tokens of one text or several, and how many they are."""
        body = await read_body(http, EncodeRequest)
        headers = check_extra(body.model_extra or {}, NOT_HONOURED, service)
        request_id = context_of(http.scope).id
        several = isinstance(body.input, list)
        given = await while_connected(http.receive, _encode_all(body, request_id, service))
        fields = {
            "input_ids": given if several else given[0],
            "length": [len(ids) for ids in given] if several else len(given[0]),
        }
        return Response(msgspec.json.encode(fields), headers=headers, media_type="application/json")

    return routes


async def _encode_all(body: EncodeRequest, request_id: str, service: Service) -> list[list[int]]:
    given = []
    for text in body.input if isinstance(body.input, list) else [body.input]:
        given.append(await _encode(text, body, request_id, service))
        await asyncio.sleep(0)  # streams go on between one text and the next
    return given


async def _encode(text: str, body: EncodeRequest, request_id: str, service: Service) -> list[int]:
    if not body.do_preprocess:
        sampling = SamplingParams(add_special_tokens=body.add_bos)
        return await service.pipeline.tokenize(
            GenerationRequest(request_id, TextPrompt(text), sampling, prompt_param="input")
        )
    prompt = ChatPrompt([{"role": "user", "content": text}])
    ids = await service.pipeline.tokenize(GenerationRequest(request_id, prompt, SamplingParams(), prompt_param="input"))
    leading = service.pipeline.model.tokenizer.leading_ids
    begins = bool(leading) and ids[: len(leading)] == leading
    return ids[len(leading) :] if begins and not body.add_bos else ids
