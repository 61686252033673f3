"""The part of answering that both kinds of completion share: prepare, run, then fold or stream."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.responses import Response

from portico.errors import RequestError
from portico.protocol.events import Failure, GenerationEvent
from portico.protocol.request import GenerationRequest
from portico.server.admission import count_answers
from portico.server.dialect import Dialect
from portico.server.disconnect import while_connected
from portico.server.doors.openai.chunks import ChunkWriter, Form, usage_fields
from portico.server.doors.openai.logprobs import Logprobs, prompt_entries
from portico.server.fold import Answer, Progress, fold, keep_best, prepare_all, run_all, stop_all
from portico.server.middleware import context_of
from portico.server.service import Service
from portico.server.sessions.history import Key
from portico.server.sse import EventStream
from portico.text.whole import WholeChoice

ChoiceBody = Callable[[int, WholeChoice], dict[str, Any]]
"""A choice's number and what it gave as its kind of completion writes them."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request that has been understood."""

    id: str
    model: str
    requests: Sequence[GenerationRequest]
    """One for each prompt; all have the same sampling."""
    stream: bool
    include_usage: bool
    headers: dict[str, str]
    logprobs: Logprobs | None = None
    """How the log-probabilities are written, where the request asks for them."""
    prompt_logprobs: int | None = None
    """How many of the likeliest tokens to show for each of the prompt's."""
    kept: int = 1
    """Choices of each prompt that the answer shows, the likeliest of those drawn."""
    session_id: int | None = None
    """By which another request may end it."""
    token_ids: bool = False
    """Whether to tell the tokens of prompt and answer."""
    usage_in_chunks: bool = False
    """Whether each chunk of a stream tells what the answer has cost so far."""
    tools: bool = False
    """Whether there are tools that may be called."""
    role: str = "assistant"
    """Whose message a chat answers with: without the beginning of another turn, that of the last; as in vLLM."""

    @property
    def choices(self) -> int:
        return sum(request.sampling.n for request in self.requests)

    @property
    def sequences(self) -> int:
        """What may run for it at a time: its choices, or the beams that they are searched with."""
        return sum(max(request.sampling.n, request.sampling.num_beams or 1) for request in self.requests)


async def answer(http: Request, call: Call, service: Service, *, form: Form, choice_body: ChoiceBody) -> Response:
    """Run a call to its end, or start its stream; whatever is wrong with it is raised before anything is sent."""
    count_answers(http.scope, call.sequences)
    key = await _session(http, call, service)
    prepared = await while_connected(http.receive, prepare_all(service.pipeline, call.requests))
    running = run_all(service.pipeline, prepared)
    if key is not None:
        running = service.sessions.stoppable(key, running, lambda: stop_all(service.pipeline, prepared))
    head: dict[str, object] = {
        "id": call.id,
        "created": int(time.time()),
        "model": call.model,
        "system_fingerprint": f"portico-{service.settings.version}",
    }
    progress = Progress(prepared)
    if call.stream:
        writer = ChunkWriter(
            form,
            head,
            include_usage=call.include_usage or service.settings.always_usage,
            logprobs=call.logprobs,
            token_ids=progress if call.token_ids else None,
            tally=progress if call.usage_in_chunks or service.dialect.usage_in_chunks else None,
        )
        events = _chunks(running, writer, service.dialect, call, roles=[call.role] * call.choices * form.is_chat)
        return EventStream(events, on_crash=service.dialect.last_words, headers=call.headers)
    whole = await while_connected(http.receive, fold(running, call.choices))
    for index, given in enumerate(whole.choices):
        given.token_ids = progress.token_ids(index)
    drawn = call.requests[0].sampling.n
    if call.kept < drawn:
        whole = keep_best(whole, drawn, call.kept)
    body = {**head, "object": form.object.removesuffix(".chunk"), **_answer_fields(whole, choice_body, call, form)}
    if call.token_ids:
        _tell_tokens(body, whole, progress, call, form)
    told = service.dialect.body(body, call.tools)
    return Response(told, headers=call.headers, media_type="application/json")


async def _session(http: Request, call: Call, service: Service) -> Key | None:
    if call.session_id in (None, -1):
        return None
    key = service.session(context_of(http.scope).key_digest, str(call.session_id))
    if await service.sessions.read(key) is not None:
        raise RequestError(
            f"The session_id {call.session_id} is occupied.", param="session_id", code="session_occupied"
        )
    return key


async def _chunks(
    running: AsyncGenerator[GenerationEvent, None],
    writer: ChunkWriter,
    dialect: Dialect,
    call: Call,
    *,
    roles: Sequence[str],
) -> AsyncGenerator[bytes, None]:
    opening = [writer.role(choice, role) for choice, role in enumerate(roles)]
    async with aclosing(running) as events:
        async for event in events:
            if isinstance(event, Failure):
                yield dialect.failed(event.error)
                continue
            # Not sooner than the first tokens: clients take the time until the first chunk for that of the prompt.
            for written in (*opening, writer.write(event)):
                if chunk := dialect.event(written, call.tools):
                    yield chunk
            opening.clear()
    if dialect.done:
        yield dialect.done


def _answer_fields(whole: Answer, choice_body: ChoiceBody, call: Call, form: Form) -> dict[str, Any]:
    choices = []
    for index, given in enumerate(whole.choices):
        told = None if call.logprobs is None else call.logprobs.write(index, given.tokens)
        choices.append({**choice_body(index, given), "logprobs": told, "finish_reason": form.reason(given.reason)})
    fields: dict[str, Any] = {"choices": choices, "usage": usage_fields(whole.usage)}
    if call.prompt_logprobs is not None:
        entries = {first: prompt_entries(infos, call.prompt_logprobs) for first, infos in whole.prompts.items()}
        if form.is_chat:
            fields["prompt_logprobs"] = entries[0]
        else:
            for index, choice in enumerate(choices):
                choice["prompt_logprobs"] = entries[index - index % call.kept]
    return fields


def _tell_tokens(body: dict[str, Any], whole: Answer, progress: Progress, call: Call, form: Form) -> None:
    """Add the tokens, by vLLM's names and LMDeploy's."""
    drawn = call.requests[0].sampling.n
    for index, choice in enumerate(body["choices"]):
        choice["token_ids"] = choice["output_ids"] = whole.choices[index].token_ids
        if not form.is_chat:
            choice["prompt_token_ids"] = progress.prompt_ids(index // call.kept * drawn)
    if form.is_chat:
        body["prompt_token_ids"] = progress.prompt_ids(0)
