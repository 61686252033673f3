"""Answers and events are what Open Responses' schemas say, for the requests of its compliance suite and some more."""

from __future__ import annotations

from typing import Any

import openresponses_types.types as spec
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.server.doors.responses.conftest import WEATHER, post, stream
from tests.server.harness import LiveServer, answering
from tests.server.thinker import call_of

EVENTS: dict[str, Any] = {
    next(iter(model.model_fields["type"].annotation)).value: model
    for name, model in vars(spec).items()
    if name.endswith("StreamingEvent") and name.startswith(("Response", "Error"))
}
OPENAI: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ONLY_OPENAI = {"response.reasoning_text.delta", "response.reasoning_text.done"}
"""What the specification calls response.reasoning.delta and .done, unlike OpenAI, its client and Codex."""
TOOL = {name: value for name, value in WEATHER.items() if name != "strict"}
CALL = call_of("get_weather", city="San Francisco")
REQUESTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "basic": ({"input": [{"type": "message", "role": "user", "content": "Say hello."}]}, "Hello there", "message"),
    "system": (
        {"input": [{"type": "message", "role": role, "content": "x"} for role in ("system", "user")]},
        "Arr",
        "message",
    ),
    "tool": ({"input": "Weather?", "tools": [TOOL]}, CALL, "function_call"),
    "turns": (
        {"input": [{"type": "message", "role": role, "content": "x"} for role in ("user", "assistant", "user")]},
        "Alice",
        "message",
    ),
    "thinking": ({"input": "x"}, "<think>\nhm\n</think>\n\nYes", "reasoning"),
    "summary": ({"input": "x", "reasoning": {"summary": "auto"}}, "<think>\nhm\n</think>\n\nYes", "reasoning"),
    "sealed": (
        {"input": "x", "include": ["reasoning.encrypted_content"]},
        "<think>\nhm\n</think>\n\nYes",
        "reasoning",
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_of_the_suite(server: LiveServer, name: str) -> None:
    body, said, kind = REQUESTS[name]
    answering(server, said)
    whole = post(server, body)
    spec.ResponseResource.model_validate(whole)
    Response.model_validate(whole, strict=True)
    assert (whole["status"], whole["output"][0]["type"]) == ("completed", kind)
    events = stream(server, body)
    told = [check(event) for event in events]
    assert {"response.created", "response.output_item.done", "response.completed"} <= set(told)
    if kind == "function_call":
        assert {"response.function_call_arguments.delta", "response.function_call_arguments.done"} <= set(told)


def check(event: Any) -> str:
    """The type of an event that both schemas have so."""
    OPENAI.validate_python(event)
    kind: str = event["type"]
    if kind not in ONLY_OPENAI:
        EVENTS[kind].model_validate(event)
    return kind


def test_a_failure(server: LiveServer) -> None:
    server.engine.script = lambda add: [RuntimeError("boom")]
    events = stream(server, {})
    assert [check(event) for event in events][-2:] == ["error", "response.failed"]
    assert "boom" not in str(events)


def test_an_answer_that_is_cut(server: LiveServer) -> None:
    answering(server, "Hello", "length")
    assert [check(event) for event in stream(server, {})][-1] == "response.incomplete"
