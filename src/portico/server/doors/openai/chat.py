"""POST /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import UnionType
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from portico.errors import RequestError
from portico.protocol.request import ChatPrompt, GenerationRequest, Terms
from portico.protocol.sampling import SamplingParams
from portico.server.body import read_body
from portico.server.describe import describe
from portico.server.doors.openai.answer import Call, answer
from portico.server.doors.openai.answer_schema import ChatCompletion, ChatCompletionChunk
from portico.server.doors.openai.bare import bare_prompt
from portico.server.doors.openai.chunks import CHAT
from portico.server.doors.openai.functions import FUNCTION_CHAT, OLD_NAMES, function_message, modern_messages, tools_of
from portico.server.doors.openai.generation import with_defaults
from portico.server.doors.openai.layout import read_layout
from portico.server.doors.openai.logprobs import ChatLogprobs, chat_count, prompt_count
from portico.server.doors.openai.params import CHAT_ONLY, check_fields
from portico.server.doors.openai.schema import ChatCompletionRequest, ChatMessage
from portico.server.middleware import context_of
from portico.server.service import Service
from portico.server.wording import said_as_sent
from portico.text.tools.wish import read_wish
from portico.text.whole import WholeChoice


def router(service: Service) -> APIRouter:
    """The route of chat completions."""
    routes = APIRouter(tags=["openai"])

    @routes.post("/v1/chat/completions", **describe(ChatCompletionRequest, ChatCompletion, ChatCompletionChunk))
    async def create_chat_completion(http: Request) -> Response:
        """Answer a conversation, laid out by the model's own chat template."""
        body = await read_body(http, ChatCompletionRequest)
        request_id = context_of(http.scope).rename("chatcmpl")
        if body.functions is None and body.function_call is None:
            call = _understand(body, request_id, service, service.terms(http, body.priority))
            return await answer(http, call, service, form=CHAT, choice_body=partial(_choice, call.role))
        with said_as_sent(OLD_NAMES):
            call = _understand(_with_tools(body), request_id, service, service.terms(http, body.priority))
            return await answer(http, call, service, form=FUNCTION_CHAT, choice_body=partial(_old_choice, call.role))

    return routes


def _with_tools(body: ChatCompletionRequest) -> ChatCompletionRequest:
    """A body in the old form in the new one; RequestError if it is in both."""
    for name in ("tools", "tool_choice"):
        if getattr(body, name) is not None:
            old = "functions" if body.functions is not None else "function_call"
            raise RequestError(f"{old} is the old form of tools; give one of them.", param=old, code="invalid_value")
    tools, choice = tools_of(body.functions or [], body.function_call)
    return body.model_copy(update={"tools": tools, "tool_choice": choice, "parallel_tool_calls": False})


def _understand(body: ChatCompletionRequest, request_id: str, service: Service, terms: Terms) -> Call:
    model = service.resolve_model(body.model)
    ignored = check_fields(body, CHAT_ONLY, service)
    body = with_defaults(body, service.dialect.defaults)
    logprobs = chat_count(body.logprobs, body.top_logprobs)
    prompt_logprobs = prompt_count(body.prompt_logprobs, bool(body.stream), service.settings.max_logprobs)
    tools, calls = read_wish(body.tools or [], body.tool_choice, body.parallel_tool_calls is not False)
    unread = body.stream and not service.dialect.streams_calls and calls is not None and not calls.required
    layout = read_layout(body)
    messages = plain_messages([] if isinstance(body.messages, str) else body.messages)
    bare = bare_prompt(body, messages)
    request = GenerationRequest(
        request_id,
        bare or ChatPrompt(messages, tools, layout, None if unread else calls, body.thinking()),
        _sampling(body, service, logprobs, prompt_logprobs),
        echo=bool(body.echo),
        max_tokens_param="max_tokens" if body.max_completion_tokens is None else "max_completion_tokens",
        prompt_param="messages" if body.input_ids is None else "input_ids",
        terms=terms,
    )
    told = None if logprobs is None else ChatLogprobs(body.names_ids(service.settings.tokens_as_ids))
    return Call(
        request_id,
        model,
        [request],
        bool(body.stream),
        body.include_usage,
        ignored,
        told,
        prompt_logprobs,
        body.kept,
        session_id=body.session_id,
        tools=calls is not None,
        role=service.settings.response_role if layout.add_generation_prompt or bare else messages[-1]["role"],
        token_ids=bool(body.return_token_ids),
        usage_in_chunks=body.usage_in_chunks,
    )


def _sampling(
    body: ChatCompletionRequest, service: Service, logprobs: int | None, prompt_logprobs: int | None
) -> SamplingParams:
    given = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    sampling = body.sampling(service.dialect.chat_tokens if given is None else given, logprobs, prompt_logprobs)
    if service.dialect.check is not None:
        service.dialect.check(sampling)
    return sampling


def plain_messages(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """The messages for the chat template; RequestError for one that says nothing."""
    return modern_messages([_message(index, message) for index, message in enumerate(messages)])


def _message(index: int, message: ChatMessage) -> dict[str, Any]:
    """The message as the client wrote it, so that its template sees every field of it."""
    if message.content is None and message.role != "assistant":
        where = f"messages.{index}.content"
        raise RequestError(f"{where} is missing.", param=where, code="missing_required_parameter")
    for place, call in enumerate(message.tool_calls or ()):
        _check_call(call, f"messages.{index}.tool_calls.{place}.function")
    if message.function_call is not None:
        _check_call({"function": message.function_call}, f"messages.{index}.function_call")
    return message.model_dump(exclude_unset=True)


def _check_call(call: Mapping[str, Any], where: str) -> None:
    function = call.get("function")
    kinds: dict[str, tuple[type | UnionType, str]] = {
        "name": (str, "a string"),
        "arguments": (str | dict, "JSON as a string"),
    }
    if not isinstance(function, dict):
        raise RequestError(
            f"{where} must be an object with a name and arguments.", param=where, code="missing_required_parameter"
        )
    for name, (kind, words) in kinds.items():
        if not isinstance(function.get(name), kind):
            raise RequestError(
                f"{where}.{name} is {function.get(name)!r:.100}; it must be {words}.",
                param=f"{where}.{name}",
                code="invalid_type",
            )


def _choice(role: str, index: int, given: WholeChoice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": role, "content": given.text, "refusal": None}
    if given.reasoning:
        message["reasoning_content"] = message["reasoning"] = given.reasoning
    if given.calls:
        message["content"] = given.text or None
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in given.calls
        ]
    return {"index": index, "message": message}


def _old_choice(role: str, index: int, given: WholeChoice) -> dict[str, Any]:
    choice = _choice(role, index, given)
    return {**choice, "message": function_message(choice["message"])}
