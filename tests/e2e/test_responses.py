"""The Responses API with the official client and the bundled model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.e2e.serving import Server

MODEL = "portico-demo"
WEATHER: Any = {
    "type": "function",
    "name": "get_current_weather",
    "description": "Get the current weather in a given location",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}},
        "required": ["location"],
    },
    "strict": True,
}
QUESTION = "What is the current weather in Boston, MA?"


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
def client(demo: Server) -> OpenAI:
    return OpenAI(base_url=f"{demo.url}/v1", api_key="unused")


def fact() -> str:
    kinds = {"name": {"type": "string"}, "age": {"type": "integer"}}
    schema = json.dumps({"type": "object", "properties": kinds})
    return f"Extract the facts as JSON for this schema: {schema}\nMarco is a baker from Rome, 43 years old."


def test_a_conversation_that_the_server_keeps(client: OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="My name is Clara.", temperature=0)
    second = client.responses.create(
        model=MODEL, input="What is my name?", temperature=0, previous_response_id=first.id
    )
    assert "Clara" in second.output_text
    assert second.usage is not None
    assert second.usage.input_tokens_details.cached_tokens > 0
    assert client.responses.retrieve(second.id) == second
    texts = [item.content[0].text for item in client.responses.input_items.list(second.id, order="asc").data]  # type: ignore[union-attr]
    assert texts == ["My name is Clara.", first.output_text, "What is my name?"]
    raw = client.responses.with_raw_response.create(model=MODEL, input="hi", store=False, max_output_tokens=4)
    assert raw.headers["x-request-id"].startswith("resp-")
    assert raw.parse().status == "incomplete"


def test_a_tool_loop_in_a_stream(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input=QUESTION, tools=[WEATHER], temperature=0) as stream:
        kinds = {event.type for event in stream}
        first = stream.get_final_response()
    assert {"response.function_call_arguments.delta", "response.function_call_arguments.done"} <= kinds
    [call] = first.output
    assert call.type == "function_call"
    assert json.loads(call.arguments) == {"location": "Boston, MA"}
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": '{"temperature": 22}'}
    with client.responses.stream(
        model=MODEL, input=[result], previous_response_id=first.id, tools=[WEATHER], temperature=0
    ) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert stream.get_final_response().output_text == text
    assert "22" in text


def test_an_answer_parsed(client: OpenAI) -> None:
    parsed = client.responses.parse(model=MODEL, input=fact(), text_format=Person, temperature=0)
    assert parsed.output_parsed is not None
    assert parsed.output_parsed.age == 43
    streamed: Any
    with client.responses.stream(model=MODEL, input=fact(), text_format=Person, temperature=0) as streamed:
        assert streamed.get_final_response().output_parsed == parsed.output_parsed


def test_a_free_form_tool_that_must_be_called(client: OpenAI) -> None:
    digits: Any = {
        "type": "custom",
        "name": "dial",
        "description": "Dials a number",
        "format": {"type": "grammar", "syntax": "regex", "definition": "[0-9]{3}-[0-9]{4}"},
    }
    response = client.responses.create(
        model=MODEL, input="Call somebody.", tools=[digits], tool_choice={"type": "custom", "name": "dial"}
    )
    [call] = response.output
    assert call.type == "custom_tool_call"
    number = call.input
    assert (len(number), number[3], number.replace("-", "").isdecimal()) == (8, "-", True)
