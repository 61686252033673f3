"""One tool loop through each framework: it shows the tool, runs the call, sends the result, reads the answer."""

from __future__ import annotations

import json
from typing import Any

import instructor
import litellm
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel, ConfigDict

MODEL = "portico-demo"
QUESTION = "What is the current weather in Boston, MA?"
TWO = "What is the current weather in Boston and Paris?"
SCHEMA: Any = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string", "description": "The city"}},
            "required": ["location"],
        },
    },
}


class Person(BaseModel):
    name: str
    age: int


class Weather(BaseModel):
    """Get the current weather in a given location."""

    model_config = ConfigDict(title="get_current_weather")
    location: str


def fact() -> str:
    kinds = {"name": {"type": "string"}, "age": {"type": "integer"}}
    schema = json.dumps({"type": "object", "properties": kinds})
    return f"Extract the facts as JSON for this schema: {schema}\nMarco is a baker from Rome, 43 years old."


def agent(url: str, asked: list[str]) -> Agent[None]:
    set_tracing_disabled(True)

    @function_tool
    def get_current_weather(location: str) -> str:
        """Get the current weather in a given location."""
        asked.append(location)
        return '{"temperature": 22}'

    return Agent(
        name="weather",
        model=OpenAIChatCompletionsModel(MODEL, AsyncOpenAI(base_url=url, api_key="unused")),
        model_settings=ModelSettings(temperature=0),
        tools=[get_current_weather],
    )


async def test_openai_agents(url: str) -> None:
    asked: list[str] = []
    result = await Runner.run(agent(url, asked), QUESTION)
    assert asked == ["Boston, MA"]
    assert "22" in result.final_output


async def test_openai_agents_streamed(url: str) -> None:
    asked: list[str] = []
    result = Runner.run_streamed(agent(url, asked), QUESTION)
    kinds = [event.type async for event in result.stream_events()]
    assert asked == ["Boston, MA"]
    assert "22" in result.final_output
    assert "raw_response_event" in kinds


def test_langchain(url: str) -> None:
    @tool
    def get_current_weather(location: str) -> str:
        """Get the current weather in a given location."""
        return f'{{"temperature": {22 if "Boston" in location else 17}}}'

    model = ChatOpenAI(model=MODEL, base_url=url, api_key="unused", temperature=0).bind_tools([get_current_weather])
    messages: list[Any] = [HumanMessage(TWO)]
    first = model.invoke(messages)
    assert [call["name"] for call in first.tool_calls] == ["get_current_weather"] * 2
    streamed = None
    for chunk in model.stream(messages):
        streamed = chunk if streamed is None else streamed + chunk
    assert streamed is not None
    assert [call["args"] for call in streamed.tool_calls] == [call["args"] for call in first.tool_calls]
    held = ChatOpenAI(model=MODEL, base_url=url, api_key="unused", temperature=0).bind_tools(
        [get_current_weather], strict=True, tool_choice="any"
    )
    assert [call["args"] for call in held.invoke(messages).tool_calls][:2] == [
        call["args"] for call in first.tool_calls
    ]
    results = [(get_current_weather.invoke(call["args"]), call["id"]) for call in first.tool_calls]
    messages += [first, *(ToolMessage(result, tool_call_id=call_id) for result, call_id in results)]
    last = model.invoke(messages)
    assert "22" in last.content
    assert "17" in last.content


def test_langchain_structured_output(url: str) -> None:
    model = ChatOpenAI(model=MODEL, base_url=url, api_key="unused", temperature=0)
    told = model.with_structured_output(Person, method="json_schema").invoke(fact())
    assert isinstance(told, Person)
    assert told.age == 43
    asked = model.with_structured_output(Weather, method="function_calling").invoke(QUESTION)
    assert asked == Weather(location="Boston, MA")


def test_litellm(url: str) -> None:
    asked: Any = {"model": f"openai/{MODEL}", "api_base": url, "api_key": "unused", "tools": [SCHEMA], "temperature": 0}
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    first = litellm.completion(messages=messages, **asked).choices[0]
    assert first.finish_reason == "tool_calls"
    [call] = first.message.tool_calls
    assert json.loads(call.function.arguments) == {"location": "Boston, MA"}
    chunks = list(litellm.completion(messages=messages, stream=True, **asked))
    whole = litellm.stream_chunk_builder(chunks, messages=messages)
    assert whole is not None
    assert whole.choices[0].message.tool_calls[0].function.arguments == call.function.arguments
    messages += [first.message, {"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 22}'}]
    assert "22" in litellm.completion(messages=messages, **asked).choices[0].message.content


def test_instructor(url: str) -> None:
    client = OpenAI(base_url=url, api_key="unused")
    for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA):
        made = instructor.from_openai(client, mode=mode)
        told = made.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": fact()}], response_model=Person, temperature=0,
            max_retries=0,
        )  # fmt: skip
        assert told.age == 43
