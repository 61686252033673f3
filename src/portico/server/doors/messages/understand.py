"""From a body to the request that the text layer takes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from portico.protocol.request import ChatPrompt, GenerationRequest, Layout, Terms, ThinkWish
from portico.protocol.sampling import Guided, SamplingParams
from portico.server.doors.messages.conversation import Message, messages_of
from portico.server.doors.messages.errors import NO_THREADS
from portico.server.doors.messages.schema import Conversation, CreateMessage
from portico.server.doors.messages.tools import choice_of, functions_of, ignored_of
from portico.server.fields import check_extra
from portico.server.service import Service
from portico.server.wording import wrong
from portico.text.tools.wish import read_wish

IGNORED = "x-portico-ignored"
# Each field with the values that ask for what happens anyway; null is always one of them.
NOT_HONOURED: Mapping[str, tuple[Any, ...]] = {
    "compaction": (),
    "container": (),
    "fallbacks": ([],),
    "mcp_servers": ([],),
    "service_tier": ("auto", "standard_only"),
    "speed": ("standard",),
}


def check_fields(body: Conversation, service: Service) -> dict[str, str]:
    """Refuse what is known and not honoured; return the header that names what has no effect."""
    if (body.model_extra or {}).get("thread") is not None:
        raise wrong("thread", "is not supported by this server; send the whole conversation", NO_THREADS)
    headers = check_extra(body.model_extra or {}, NOT_HONOURED, service)
    ignored = [*filter(None, [headers.get(IGNORED)]), *ignored_of(body.tools or ())]
    if body.thinking is not None and body.thinking.type != "disabled" and not _thinks(service):
        ignored.append("thinking")
    return {IGNORED: ", ".join(ignored)} if ignored else {}


def prompt_of(body: Conversation, service: Service) -> ChatPrompt:
    """What the model is to read; RequestError for what cannot be understood."""
    messages = messages_of(body.system, body.messages)
    choice, parallel = choice_of(body.tool_choice)
    tools, calls = read_wish(functions_of(body.tools or ()), choice, parallel)
    goes_on = messages[-1]["role"] == "assistant"
    if goes_on:
        _check_beginning(messages[-1])
    layout = Layout(
        add_generation_prompt=not goes_on,
        continue_final_message=goes_on,
        variables=body.chat_template_kwargs or {},
    )
    return ChatPrompt(messages, tools, layout, calls, _think_wish(body, _thinks(service)))


def request_of(body: CreateMessage, request_id: str, service: Service, terms: Terms) -> GenerationRequest:
    """The whole request; RequestError for what cannot be understood."""
    return GenerationRequest(
        request_id,
        prompt_of(body, service),
        _sampling(body),
        cut_to_context=True,
        prompt_param="messages",
        terms=terms,
    )


def _thinks(service: Service) -> bool:
    return service.pipeline.model.thinking_format is not None


def _check_beginning(last: Message) -> None:
    if last.get("tool_calls") or not last["content"]:
        raise wrong("messages", "ends with an assistant's turn, which can be continued only where it ends with a text")


def _think_wish(body: Conversation, thinks: bool) -> ThinkWish:
    given = body.thinking
    effort = body.output_config.effort if body.output_config else None
    effort = "xhigh" if effort == "max" else effort
    if given is None:
        return ThinkWish(effort=effort, wanted=False)
    if (given.type == "enabled") != (given.budget_tokens is not None):
        right = "is missing" if given.type == "enabled" else "is only allowed with type enabled"
        raise wrong("thinking.budget_tokens", right)
    if given.type == "disabled":
        return ThinkWish(shown=False, budget=0 if thinks else None, effort="none", wanted=False)
    if given.budget_tokens is not None and given.budget_tokens < 1:
        raise wrong("thinking.budget_tokens", f"is {given.budget_tokens}; it must be at least 1")
    return ThinkWish(budget=given.budget_tokens if thinks else None, effort=effort, wanted=True)


def _sampling(body: CreateMessage) -> SamplingParams:
    return SamplingParams(
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        min_p=body.min_p,
        repetition_penalty=body.repetition_penalty,
        seed=body.seed,
        stop=_stops(body.stop_sequences or ()),
        guided=_guided(body),
    )


def _stops(given: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(given))


def _guided(body: CreateMessage) -> Guided | None:
    """The form that the text is to have; RequestError for one that there is not."""
    wish, field = body.output_format, "output_format"
    if body.output_config is not None and body.output_config.format is not None:
        wish, field = body.output_config.format, "output_config.format"
    match wish:
        case None:
            return None
        case {"type": "json_schema", "schema": dict(schema)}:
            return Guided(kind="json", value=json.dumps(schema), field=f"{field}.schema")
    raise wrong(field, f"is {wish!r:.200}; it must be {{type: json_schema, schema: …}}")
