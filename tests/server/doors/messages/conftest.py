"""A server over an engine that says what a test wants, and Anthropic's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from portico.text.model import TextModel
from tests.server.fake_engine import echo
from tests.server.harness import MODEL, LiveServer, portico
from tests.server.thinker import as_new

WEATHER: Any = {
    "name": "get_weather",
    "description": "Weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
HI: Any = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def shared(thinker: TextModel) -> Iterator[LiveServer]:
    with portico(thinker) as server:
        yield server


@pytest.fixture
def server(shared: LiveServer) -> Iterator[LiveServer]:
    as_new(shared)
    shared.engine.script = echo
    yield shared
    shared.engine.wait_for(lambda: not shared.engine.running)


@pytest.fixture
def client(server: LiveServer) -> anthropic.Anthropic:
    return client_of(server)


def client_of(server: LiveServer, key: str = "none") -> anthropic.Anthropic:
    """Anthropic's client, which sends the key as x-api-key."""
    return anthropic.Anthropic(base_url=server.url, api_key=key, max_retries=0, timeout=30)


def post(server: LiveServer, body: dict[str, Any], status: int = 200, path: str = "/v1/messages") -> Any:
    """The answer to a body, of which what every body has need not be told."""
    answer = server.http().post(path, json={"model": MODEL, "max_tokens": 100, "messages": HI, **body})
    assert answer.status_code == status, answer.text
    return answer.json()


def stream(server: LiveServer, body: dict[str, Any]) -> list[Any]:
    """The events of a stream; checks the form of each."""
    asked = {"model": MODEL, "max_tokens": 100, "messages": HI, **body, "stream": True}
    with server.http().stream("POST", "/v1/messages", json=asked) as answer:
        assert answer.status_code == 200, answer.read()
        text = answer.read().decode()
    *parts, rest = text.split("\n\n")
    assert rest == ""
    events = []
    for part in parts:
        name, data = part.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events
