"""Tools with the official client and the bundled model: calls, streamed and not, and the turns that follow them."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.e2e.serving import Server

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["location"],
        },
    },
}
TIMER: Any = {
    "type": "function",
    "function": {
        "name": "set_timer",
        "description": "Set a timer",
        "parameters": {
            "type": "object",
            "properties": {"minutes": {"type": "integer", "minimum": 1, "maximum": 9}, "loud": {"type": "boolean"}},
            "required": ["minutes", "loud"],
            "additionalProperties": False,
        },
    },
}
QUESTION: Any = [{"role": "user", "content": "What is the current weather in Boston, MA?"}]
NAMED: Any = {"type": "function", "function": {"name": "set_timer"}}


@pytest.fixture
def client(demo: Server) -> OpenAI:
    return OpenAI(base_url=f"{demo.url}/v1", api_key="unused")


def ask(client: OpenAI, messages: Any = QUESTION, tools: Any = (WEATHER,), **more: Any) -> Any:
    return client.chat.completions.create(
        model="portico-demo", messages=messages, tools=list(tools), temperature=0, **more
    )


def add_up(stream: Any) -> tuple[str, list[dict[str, Any]], str | None]:
    """What a client makes of a stream: text, calls, the reason of the end."""
    text, calls, reason = "", [], None
    for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
            for call in choice.delta.tool_calls or []:
                if call.id:
                    assert call.index == len(calls)
                    calls.append({"id": call.id, "name": call.function.name, "arguments": ""})
                calls[call.index]["arguments"] += call.function.arguments
    return text, calls, reason


def test_a_call_and_the_answer_from_its_result(client: OpenAI) -> None:
    first = ask(client).choices[0]
    assert first.finish_reason == "tool_calls"
    assert first.message.content is None
    [call] = first.message.tool_calls
    assert call.type == "function"
    assert call.function.name == "get_current_weather"
    assert json.loads(call.function.arguments)["location"] == "Boston, MA"
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 22}'}
    text, calls, reason = add_up(ask(client, [*QUESTION, first.message, result], stream=True))
    second = ask(client, [*QUESTION, first.message, result]).choices[0]
    assert (text, calls, reason) == (second.message.content, [], "stop")
    assert second.finish_reason == "stop"
    assert "22" in second.message.content
    assert second.message.tool_calls is None


def test_streamed_and_whole_are_the_same(client: OpenAI) -> None:
    both = [{"role": "user", "content": "What is the current weather in Boston and Paris?"}]
    whole = ask(client, both).choices[0]
    text, calls, reason = add_up(ask(client, both, stream=True))
    assert (text or None, reason) == (whole.message.content, "tool_calls")
    assert len(calls) == 2
    assert len({call["id"] for call in calls}) == 2
    assert [(call["name"], call["arguments"]) for call in calls] == [
        (call.function.name, call.function.arguments) for call in whole.message.tool_calls
    ]


def test_arguments_come_in_pieces_behind_the_name(client: OpenAI) -> None:
    deltas = [chunk.choices[0].delta for chunk in ask(client, stream=True)]
    assert deltas[0].role == "assistant"
    calls = [delta.tool_calls[0] for delta in deltas if delta.tool_calls]
    assert calls[0].function.name == "get_current_weather"
    assert calls[0].function.arguments == ""
    assert len(calls) > 4
    assert all(call.function.name is None and call.id is None for call in calls[1:])


def test_no_call_where_none_fits_or_none_is_wanted(client: OpenAI) -> None:
    capital = [{"role": "user", "content": "What is the capital of France?"}]
    answer = ask(client, capital).choices[0]
    assert (answer.finish_reason, answer.message.tool_calls) == ("stop", None)
    assert "Paris" in answer.message.content
    unwanted = ask(client, tool_choice="none").choices[0]
    assert (unwanted.finish_reason, unwanted.message.tool_calls) == ("stop", None)
    assert unwanted.message.content


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_must_be_made_matches_its_schema(client: OpenAI, stream: bool) -> None:
    asked = {"tools": (WEATHER, TIMER), "tool_choice": NAMED, "parallel_tool_calls": False, "max_tokens": 200}
    if stream:
        text, [call], reason = add_up(ask(client, **asked, stream=True))
        name, arguments = call["name"], call["arguments"]
    else:
        choice = ask(client, **asked).choices[0]
        [made] = choice.message.tool_calls
        text, reason = choice.message.content or "", choice.finish_reason
        name, arguments = made.function.name, made.function.arguments
    assert (text, reason, name) == ("", "tool_calls", "set_timer")
    timer = json.loads(arguments)
    assert 1 <= timer["minutes"] <= 9
    assert isinstance(timer["loud"], bool)


def test_a_call_that_must_be_made_and_is_cut_off_is_one_all_the_same(client: OpenAI) -> None:
    for count in (4, 12, 20):
        asked = {"tool_choice": "required", "max_tokens": count}
        whole = ask(client, **asked).choices[0]
        text, calls, reason = add_up(ask(client, **asked, stream=True))
        made = [(call.function.name, call.function.arguments) for call in whole.message.tool_calls or []]
        assert (text, reason, whole.message.content or "", whole.finish_reason) == ("", "length", "", "length")
        assert [(call["name"], call["arguments"]) for call in calls] == made
        assert len(made) == 1


def test_required_calls_something_at_any_temperature(client: OpenAI) -> None:
    hello: Any = [{"role": "user", "content": "Hello!"}]
    answer = client.chat.completions.create(
        model="portico-demo", messages=hello, tools=[WEATHER, TIMER], tool_choice="required", n=8, temperature=1.5,
        seed=3, parallel_tool_calls=False, max_tokens=200,
    )  # fmt: skip
    for choice in answer.choices:
        [call] = choice.message.tool_calls or []
        arguments = json.loads(call.function.arguments)  # type: ignore[union-attr]
        if call.function.name == "set_timer":  # type: ignore[union-attr]
            assert set(arguments) == {"minutes", "loud"}
        else:
            assert isinstance(arguments["location"], str)


def test_strict_tools_are_held_to_their_schema_where_they_are_called(client: OpenAI) -> None:
    odd = {"type": "integer", "minimum": 40, "maximum": 49}
    parameters = {"type": "object", "properties": {"location": odd}, "required": ["location"]}
    for strict, kind in ((True, int), (False, str)):
        function = {**WEATHER["function"], "parameters": {**parameters, "additionalProperties": False}}
        tool = {"type": "function", "function": {**function, "strict": strict}}
        answer = ask(client, tools=[tool], max_tokens=100).choices[0]
        [call] = answer.message.tool_calls
        assert isinstance(json.loads(call.function.arguments)["location"], kind)
    capital = [{"role": "user", "content": "What is the capital of France?"}]
    assert (
        "Paris"
        in ask(client, capital, tools=[{**TIMER, "function": {**TIMER["function"], "strict": True}}])
        .choices[0]
        .message.content
    )


def test_the_clients_own_streaming_helper(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model="portico-demo", messages=QUESTION, tools=[WEATHER], temperature=0
    ) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_completion().choices[0].message
    assert "tool_calls.function.arguments.delta" in kinds
    assert kinds.count("tool_calls.function.arguments.done") == 1
    assert message.tool_calls
    assert json.loads(message.tool_calls[0].function.arguments)["location"] == "Boston, MA"


class GetCurrentWeather(BaseModel):
    """Get the current weather in a given location."""

    location: str


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int
    city: str


def test_parse_with_pydantic(client: OpenAI) -> None:
    tool = openai.pydantic_function_tool(GetCurrentWeather, name="get_current_weather")
    answer = client.chat.completions.parse(
        model="portico-demo", messages=QUESTION, tools=[tool], tool_choice="required", temperature=0,
        parallel_tool_calls=False,
    )  # fmt: skip
    [call] = answer.choices[0].message.tool_calls or []
    assert isinstance(call.function.parsed_arguments, GetCurrentWeather)
    assert call.function.parsed_arguments.location
    kinds = {name: {"type": value["type"]} for name, value in Person.model_json_schema()["properties"].items()}
    schema = json.dumps({"type": "object", "properties": kinds})
    fact = f"Extract the facts as JSON for this schema: {schema}\nMarco is a baker from Rome, 43 years old."
    told = client.chat.completions.parse(
        model="portico-demo", messages=[{"role": "user", "content": fact}], response_format=Person, temperature=0
    )
    person = told.choices[0].message.parsed
    assert person is not None
    assert (person.name, person.age) == ("Marco", 43)


def test_an_answer_of_a_form_or_a_call(client: OpenAI) -> None:
    """With tools and a form the model decides which of them it is."""
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": Person.model_json_schema()}}
    called = ask(client, response_format=form, max_tokens=100).choices[0]
    assert called.finish_reason == "tool_calls"
    assert json.loads(called.message.tool_calls[0].function.arguments)["location"] == "Boston, MA"


def test_the_old_form_of_tools(client: OpenAI) -> None:
    """A call, its result, the answer from it, with functions in place of tools."""
    asked: Any = {"model": "portico-demo", "functions": [WEATHER["function"]], "temperature": 0}
    first = client.chat.completions.create(messages=QUESTION, **asked).choices[0]
    assert first.finish_reason == "function_call"
    call = first.message.function_call
    assert call is not None
    assert json.loads(call.arguments) == {"location": "Boston, MA"}
    result = {"role": "function", "name": call.name, "content": '{"temperature": 22}'}
    second = client.chat.completions.create(messages=[*QUESTION, first.message, result], **asked).choices[0]
    assert "22" in (second.message.content or "")
    assert second.finish_reason == "stop"
