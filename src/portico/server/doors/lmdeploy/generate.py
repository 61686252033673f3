"""POST /generate: a text or tokens, continued as they are."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from portico.errors import RequestError
from portico.protocol.events import Failure, Finish, GenerationEvent, TextDelta, TokenInfo
from portico.protocol.request import GenerationRequest, TextPrompt, TokenPrompt
from portico.server.body import read_body
from portico.server.describe import describe
from portico.server.disconnect import while_connected
from portico.server.doors.lmdeploy.errors import FLAT_ERRORS, FlatErrors, check_ranges, error_body
from portico.server.doors.lmdeploy.schema import NEW_SESSION, NOT_HONOURED, GenerateAnswer, GenerateRequest
from portico.server.fields import check_extra
from portico.server.middleware import context_of
from portico.server.service import Service
from portico.server.sse import EventStream
from portico.text.pipeline import Prepared

DONE = b"data: [DONE]\n\n"


def router(service: Service) -> APIRouter:
    """The route of raw generation."""
    routes = APIRouter(tags=["lmdeploy"], route_class=FlatErrors, responses=FLAT_ERRORS)

    @routes.post("/generate", **describe(GenerateRequest, GenerateAnswer))
    async def generate(http: Request) -> Response:
        """Continue a prompt, without the chat template."""
        body = await read_body(http, GenerateRequest)
        headers = check_extra(body.model_extra or {}, NOT_HONOURED, service)
        context = context_of(http.scope)
        request = replace(_understand(body, context.rename("gen")), terms=service.terms(http))
        prepared = await while_connected(http.receive, service.pipeline.prepare(request))
        run = _Run(service, prepared, body, context.key_digest)
        if body.stream:
            return EventStream(_events(run), on_crash=_last_words, headers=headers)
        whole = await while_connected(http.receive, run.fold())
        return Response(msgspec.json.encode(whole), headers=headers, media_type="application/json")

    return routes


def _understand(body: GenerateRequest, request_id: str) -> GenerationRequest:
    if (body.prompt is None) == (body.input_ids is None):
        raise RequestError("You must specify exactly one of prompt or input_ids", param="prompt", code="invalid_value")
    if body.prompt == "":
        raise RequestError("The prompt must not be an empty string", param="prompt", code="empty_prompt")
    if body.input_ids == []:
        raise RequestError("The input_ids must not be an empty list", param="input_ids", code="empty_prompt")
    if body.max_tokens < 1:
        raise RequestError(
            f"The max_tokens {body.max_tokens} must be a positive integer.", param="max_tokens", code="invalid_value"
        )
    check_ranges(top_p=body.top_p, top_k=body.top_k, temperature=body.temperature)
    sampling = body.sampling(
        max_tokens=body.max_tokens,
        stop_token_ids=tuple(body.stop_token_ids or ()),
        temperature=body.temperature,
        repetition_penalty=body.repetition_penalty,
        top_p=body.top_p,
        top_k=body.top_k,
        min_p=body.min_p,
        include_stop_str_in_output=body.include_stop_str_in_output,
        logprobs=0 if body.return_logprob else None,
    )
    if body.prompt is not None:
        return GenerationRequest(request_id, TextPrompt(body.prompt), sampling)
    return GenerationRequest(request_id, TokenPrompt(body.input_ids or []), sampling, prompt_param="input_ids")


@dataclass(frozen=True, slots=True)
class _Run:
    """A request that is being answered."""

    service: Service
    prepared: Prepared
    body: GenerateRequest
    key_digest: str

    async def pieces(self) -> AsyncGenerator[dict[str, Any], None]:
        """What each event adds, the last piece with the reason; raises the error of a Failure."""
        told, answer = 0, self.prepared.choices[0]
        async with aclosing(self._running()) as events:
            async for event in events:
                match event:
                    case TextDelta(text=text, tokens=tokens):
                        yield self._piece(text, answer.token_ids[told:], tokens, None)
                        told = answer.token_count
                    case Finish(reason=reason):
                        yield self._piece("", answer.token_ids[told:], (), reason)
                    case Failure(error):
                        raise error

    async def fold(self) -> dict[str, Any]:
        text, infos, whole = "", list[list[Any]](), dict[str, Any]()
        async with aclosing(self.pieces()) as pieces:
            async for whole in pieces:
                text += whole["text"]
                infos += whole["meta_info"]["output_token_logprobs"] or ()
        told = infos if self.body.return_logprob else None
        meta = {**whole["meta_info"], "output_token_logprobs": told}
        return {"text": text, "output_ids": self.prepared.choices[0].token_ids, "meta_info": meta}

    def _piece(
        self, text: str, token_ids: Sequence[int], infos: Sequence[TokenInfo], reason: str | None
    ) -> dict[str, Any]:
        told = [[info.token.logprob, info.token.id] for info in infos]
        meta = {
            "prompt_tokens": len(self.prepared.add.prompt_ids),
            "completion_tokens": self.prepared.choices[0].token_count,
            "finish_reason": None if reason is None else {"type": reason},
            "output_token_logprobs": told if self.body.return_logprob else None,
        }
        return {"text": text, "output_ids": token_ids, "meta_info": meta}

    def _running(self) -> AsyncGenerator[GenerationEvent, None]:
        service, events = self.service, self.service.pipeline.run(self.prepared)
        if self.body.session_id == NEW_SESSION:
            return events
        key = service.session(self.key_digest, str(self.body.session_id))
        return service.sessions.stoppable(key, events, lambda: service.pipeline.stop(self.prepared))


async def _events(run: _Run) -> AsyncGenerator[bytes, None]:
    async with aclosing(run.pieces()) as pieces:
        try:
            async for piece in pieces:
                yield b"data: " + msgspec.json.encode(piece) + b"\n\n"
        except RequestError as error:
            yield _error_event(error)
    yield DONE


def _last_words(error: RequestError) -> bytes:
    return _error_event(error) + DONE


def _error_event(error: RequestError) -> bytes:
    return b'data: {"error":' + error_body(error) + b"}\n\n"
