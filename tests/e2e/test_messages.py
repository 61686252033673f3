"""Anthropic's API with its official client and the bundled model."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from pydantic import BaseModel

from tests.e2e.serving import Server

MODEL = "portico-demo"
WEATHER: Any = {
    "name": "get_current_weather",
    "description": "Get the current weather in a given location",
    "input_schema": {
        "type": "object",
        "properties": {"location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}},
        "required": ["location"],
    },
}
QUESTION: Any = {"role": "user", "content": "What is the current weather in Boston, MA?"}
GREEDY: Any = {"model": MODEL, "max_tokens": 100, "extra_body": {"temperature": 0}}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
def client(demo: Server) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=demo.url, api_key="unused")


def test_a_conversation(client: anthropic.Anthropic) -> None:
    messages: Any = [{"role": "user", "content": "My name is Clara."}]
    first = client.messages.create(messages=messages, **GREEDY)
    assert (first.stop_reason, first._request_id is not None) == ("end_turn", True)
    messages += [first.to_param(), {"role": "user", "content": "What is my name?"}]
    second = client.messages.create(messages=messages, **GREEDY)
    assert second.content[0].type == "text"
    assert "Clara" in second.content[0].text
    read = second.usage.input_tokens + (second.usage.cache_read_input_tokens or 0)
    assert client.messages.count_tokens(model=MODEL, messages=messages).input_tokens == read
    stopped = client.messages.create(messages=messages, stop_sequences=["Clara"], **GREEDY)
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "Clara")


def test_a_tool_loop_in_a_stream(client: anthropic.Anthropic) -> None:
    with client.messages.stream(messages=[QUESTION], tools=[WEATHER], **GREEDY) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        first = stream.get_final_message()
    [call] = first.content
    assert call.type == "tool_use"
    assert (first.stop_reason, call.input, json.loads("".join(pieces))) == (
        "tool_use",
        *[{"location": "Boston, MA"}] * 2,
    )
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": '{"temperature": 22}'}
    messages: Any = [QUESTION, first.to_param(), {"role": "user", "content": [result]}]
    with client.messages.stream(messages=messages, tools=[WEATHER], **GREEDY) as stream:
        text = "".join(stream.text_stream)
        assert stream.get_final_text() == text
    assert "22" in text
    assert client.messages.create(messages=messages, tools=[WEATHER], **GREEDY).content[0].text == text  # type: ignore[union-attr]


async def test_the_asynchronous_client_and_its_tool_runner(demo: Server) -> None:
    asked = []

    @anthropic.beta_async_tool
    async def get_current_weather(location: str) -> str:
        """Get the current weather in a given location

        Args:
            location: The city and state, e.g. San Francisco, CA
        """
        asked.append(location)
        return '{"temperature": 22}'

    async with anthropic.AsyncAnthropic(base_url=demo.url, api_key="unused") as client:
        runner = client.beta.messages.tool_runner(messages=[QUESTION], tools=[get_current_weather], **GREEDY)
        last = await runner.until_done()
        async with client.messages.stream(messages=[QUESTION], tools=[WEATHER], **GREEDY) as stream:
            assert (await stream.get_final_message()).stop_reason == "tool_use"
    assert asked == ["Boston, MA"]
    assert last.content[0].type == "text"
    assert "22" in last.content[0].text


def test_an_answer_parsed(client: anthropic.Anthropic) -> None:
    kinds = {"name": {"type": "string"}, "age": {"type": "integer"}}
    schema = json.dumps({"type": "object", "properties": kinds})
    fact = f"Extract the facts as JSON for this schema: {schema}\nMarco is a baker from Rome, 43 years old."
    parsed = client.messages.parse(messages=[{"role": "user", "content": fact}], output_format=Person, **GREEDY)
    assert parsed.parsed_output is not None
    assert parsed.parsed_output.age == 43


def test_a_request_as_coding_agents_send_it(client: anthropic.Anthropic) -> None:
    def ask(number: int) -> anthropic.types.beta.BetaMessage:
        cached: Any = {"cache_control": {"type": "ephemeral"}}
        system: Any = [
            {"type": "text", "text": f"x-anthropic-billing-header: cc_version=2.1.{number}; cch={number:05x};"},
            {"type": "text", "text": "You are an agent that writes code.", **cached},
            {"type": "text", "text": "Be precise. " * 100, **cached},
        ]
        reminder = "<system-reminder>\nThe list of things to do is empty.\n</system-reminder>\n"
        schema = {"type": "object", "properties": {"path": {"type": "string"}}, "additionalProperties": False}
        tools: Any = [
            {"name": f"tool_{place}", "description": "Does something.", "input_schema": schema} for place in range(20)
        ]
        with client.beta.messages.stream(
            model=MODEL,
            max_tokens=32_000,
            system=system,
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "text", "text": reminder}, {"type": "text", "text": "Hello!", **cached}],
                }
            ],
            tools=tools,
            thinking={"type": "enabled", "budget_tokens": 31_999},
            metadata={"user_id": '{"device_id":"d","session_id":"s"}'},
            betas=["claude-code-20250219", "interleaved-thinking-2025-05-14", "context-management-2025-06-27"],
            context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
            extra_body={"temperature": 0, "stop_sequences": ["\n\n"]},
        ) as stream:
            return stream.get_final_message()

    first, second = ask(1), ask(2)
    assert first.stop_reason in ("end_turn", "tool_use", "stop_sequence")
    assert first.content
    assert first.usage.cache_read_input_tokens == 0
    assert first.usage.input_tokens > 1000
    assert second.usage.cache_read_input_tokens == (first.usage.input_tokens - 1) // 16 * 16
    assert second.usage.input_tokens + second.usage.cache_read_input_tokens == first.usage.input_tokens
