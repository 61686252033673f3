"""A server over an engine that says what a test wants, of a model that thinks and calls tools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tokenizers import AddedToken

from portico.text.model import TextModel
from tests.server.fake_engine import LOADED
from tests.server.harness import MODEL, LiveServer, portico
from tests.text import folders

TEMPLATE = """{%- for tool in tools or [] %}{{- tool | tojson + '\\n' }}{% endfor %}
{%- for message in messages %}
{{- '[' + message.role + ']' }}
{%- if message.reasoning_content %}{{- '<think>' + message.reasoning_content + '</think>' }}{%- endif %}
{{- message.content or '' }}
{%- for call in message.tool_calls or [] %}
{{- '<tool_call>' + call.function.name + (call.function.arguments | tojson) + '</tool_call>' }}{% endfor %}
{%- endfor %}
{%- if tools %}{{- 'tools <tool_call> arguments' }}{%- endif %}
{{- '[assistant]' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"""
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": None,
}
PATCH: Any = {"type": "custom", "name": "apply_patch", "description": "Change files"}
ROOMY = replace(LOADED, max_model_len=4096)


def call_of(name: str, **arguments: Any) -> str:
    """As the model writes it."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments}, ensure_ascii=False)}\n</tool_call>"


@pytest.fixture(scope="session")
def thinking_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = folders.byte_level()
    marks = ("</think>", "<tool_call>", "</tool_call>")
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in marks])
    return folders.write_folder(tmp_path_factory.mktemp("responses"), tokenizer, template=TEMPLATE)


@pytest.fixture(scope="session")
def thinker(thinking_folder: Path) -> TextModel:
    return TextModel.load(thinking_folder)


@pytest.fixture(scope="module")
def shared(thinker: TextModel) -> Iterator[LiveServer]:
    with portico(thinker) as server:
        yield server


@pytest.fixture
def server(shared: LiveServer) -> Iterator[LiveServer]:
    as_new(shared)
    yield shared
    shared.engine.wait_for(lambda: not shared.engine.running)


def as_new(server: LiveServer) -> None:
    """Forget what the engine was asked, and give it room for long prompts."""
    server.engine.limits = ROOMY
    server.engine.added.clear()
    server.engine.cancelled.clear()


def prompt(server: LiveServer) -> str:
    """What the model read last."""
    ids = server.engine.added[-1].prompt_ids
    return server.text.tokenizer.decode(ids, skip_special_tokens=False)


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
