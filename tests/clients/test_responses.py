"""The Responses API as frameworks use it: tool loops, streamed and not, with and without a kept conversation."""

from __future__ import annotations

import json
from typing import Any

import litellm
import pytest
from agents import Agent, ModelSettings, OpenAIResponsesModel, RunConfig, Runner, function_tool, set_tracing_disabled
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.clients.test_tools import MODEL, QUESTION, fact


class Person(BaseModel):
    name: str
    age: int


def agent(url: str, asked: list[str], **more: Any) -> Agent[None]:
    set_tracing_disabled(True)

    @function_tool
    def get_current_weather(location: str) -> str:
        """Get the current weather in a given location."""
        asked.append(location)
        return '{"temperature": 22}'

    return Agent(
        name="weather",
        model=OpenAIResponsesModel(MODEL, AsyncOpenAI(base_url=url, api_key="unused")),
        model_settings=ModelSettings(temperature=0, **more),
        tools=[get_current_weather],
    )


@pytest.mark.parametrize("kept", [False, True])
async def test_openai_agents(url: str, kept: bool) -> None:
    asked: list[str] = []
    made = agent(url, asked, store=kept)
    result = await Runner.run(made, QUESTION, auto_previous_response_id=kept)
    assert asked == ["Boston, MA"]
    assert "22" in result.final_output
    assert result.context_wrapper.usage.requests == 2
    assert result.context_wrapper.usage.input_tokens > 0
    if kept:
        more = await Runner.run(made, "Thanks.", previous_response_id=result.last_response_id)
        assert more.raw_responses[0].usage.input_tokens > result.raw_responses[-1].usage.input_tokens
    else:
        more = await Runner.run(made, [*result.to_input_list(), {"role": "user", "content": "Thanks."}])
    assert more.final_output


async def test_openai_agents_streamed(url: str) -> None:
    asked: list[str] = []
    result = Runner.run_streamed(agent(url, asked), QUESTION, run_config=RunConfig(tracing_disabled=True))
    events = [event async for event in result.stream_events()]
    raw = [event.data.type for event in events if event.type == "raw_response_event"]
    assert asked == ["Boston, MA"]
    assert "22" in result.final_output
    assert raw.count("response.completed") == 2
    assert "response.function_call_arguments.delta" in raw
    assert "response.output_text.delta" in raw


async def test_openai_agents_structured_output(url: str) -> None:
    set_tracing_disabled(True)
    made = Agent(
        name="facts",
        model=OpenAIResponsesModel(MODEL, AsyncOpenAI(base_url=url, api_key="unused")),
        model_settings=ModelSettings(temperature=0),
        output_type=Person,
    )
    result = await Runner.run(made, fact())
    assert result.final_output.age == 43


@pytest.mark.parametrize("kept", [False, True])
def test_langchain(url: str, kept: bool) -> None:
    @tool
    def get_current_weather(location: str) -> str:
        """Get the current weather in a given location."""
        return '{"temperature": 22}'

    model = ChatOpenAI(
        model=MODEL,
        base_url=url,
        api_key="unused",
        temperature=0,
        use_responses_api=True,
        use_previous_response_id=kept,
    ).bind_tools([get_current_weather])
    messages: list[Any] = [HumanMessage(QUESTION)]
    first = model.invoke(messages)
    [call] = first.tool_calls
    assert call["args"] == {"location": "Boston, MA"}
    streamed = None
    for chunk in model.stream(messages):
        streamed = chunk if streamed is None else streamed + chunk
    assert streamed is not None
    assert [made["args"] for made in streamed.tool_calls] == [call["args"]]
    messages += [first, ToolMessage(get_current_weather.invoke(call["args"]), tool_call_id=call["id"])]
    assert "22" in model.invoke(messages).text


def test_litellm(url: str) -> None:
    asked: Any = {"model": f"openai/{MODEL}", "api_base": url, "api_key": "unused", "temperature": 0}
    schema: Any = {
        "type": "function",
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
    }
    response: Any = litellm.responses(input=QUESTION, tools=[schema], **asked)
    [call] = response.output
    assert json.loads(call.arguments) == {"location": "Boston, MA"}
    events = [event.type for event in litellm.responses(input=QUESTION, tools=[schema], stream=True, **asked)]
    assert events[-1] == "response.completed"
