"""A server over an engine that says what a test wants, of a model that thinks and calls tools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from portico.text.model import TextModel
from tests.server.harness import MODEL, LiveServer, portico
from tests.server.thinker import as_new

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": None,
}
PATCH: Any = {"type": "custom", "name": "apply_patch", "description": "Change files"}


@pytest.fixture(scope="module")
def shared(thinker: TextModel) -> Iterator[LiveServer]:
    with portico(thinker) as server:
        yield server


@pytest.fixture
def server(shared: LiveServer) -> Iterator[LiveServer]:
    as_new(shared)
    yield shared
    shared.engine.wait_for(lambda: not shared.engine.running)


def post(server: LiveServer, body: dict[str, Any], status: int = 200) -> Any:
    """The answer to a body, of which the model need not be told."""
    answer = server.http().post("/v1/responses", json={"model": MODEL, "input": "hi", **body})
    assert answer.status_code == status, answer.text
    return answer.json()


def stream(server: LiveServer, body: dict[str, Any]) -> list[Any]:
    """The events of a stream; checks the form of each and of the end."""
    asked = {"model": MODEL, "input": "hi", **body, "stream": True}
    with server.http().stream("POST", "/v1/responses", json=asked) as answer:
        assert answer.status_code == 200, answer.read()
        return events_of(answer.read().decode())


def events_of(text: str) -> list[Any]:
    """The events of a stream's text."""
    *parts, end, rest = text.split("\n\n")
    assert (end, rest) == ("data: [DONE]", "")
    events = []
    for part in parts:
        name, data = part.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events
