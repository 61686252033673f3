"""`functions` and `function_call`, the old form of tools, through the official client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from portico.config.text import TextOptions
from portico.text.model import TextModel
from tests.server.doors.openai.test_tools import HELLO, PLAIN, ROME, TEMPLATE, answering
from tests.server.harness import MODEL, LiveServer, portico
from tests.text.folders import write_folder

WEATHER: Any = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
OTHER: Any = {"name": "f"}


@pytest.fixture(scope="module")
def function_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = write_folder(tmp_path_factory.mktemp("functions"), template=TEMPLATE)
    with portico(TextModel.load(folder, TextOptions(tool_call_parser="hermes"))) as server:
        yield server


@pytest.fixture
def server(function_server: LiveServer) -> LiveServer:
    function_server.engine.added.clear()
    return function_server


def ask(server: LiveServer, functions: Any = (WEATHER, OTHER), messages: Any = HELLO, **more: Any) -> Any:
    if functions is not None:
        more["functions"] = list(functions)
    return server.openai().chat.completions.create(model=MODEL, messages=messages, **more)


def test_a_call_in_the_old_form(server: LiveServer) -> None:
    answering(server, f"Let me see.\n{ROME}\n{PLAIN}")
    choice = ask(server).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("function_call", "Let me see.")
    assert choice.message.tool_calls is None
    assert choice.message.function_call.name == "get_weather"
    assert choice.message.function_call.arguments == '{"city": "Rome 😀"}'
    text, name, arguments, reason = "", "", "", None
    for chunk in ask(server, stream=True):
        delta, reason = chunk.choices[0].delta, chunk.choices[0].finish_reason or reason
        text += delta.content or ""
        assert delta.tool_calls is None
        if delta.function_call is not None:
            name += delta.function_call.name or ""
            arguments += delta.function_call.arguments
    assert (text, name, arguments, reason) == ("Let me see.", "get_weather", '{"city": "Rome 😀"}', "function_call")


@pytest.mark.parametrize(
    ("choice", "shown", "held"), [("auto", True, False), ("none", False, False), ({"name": "f"}, True, True)]
)
def test_the_choice_decides_what_is_shown_and_held(server: LiveServer, choice: Any, shown: bool, held: bool) -> None:
    answering(server, PLAIN)
    ask(server, function_call=choice)
    [added] = server.engine.added
    assert ('"name": "f"' in server.text.tokenizer.decode(added.prompt_ids)) is shown
    assert (added.params.grammar is not None) is held


def test_turns_in_the_old_form_are_input(server: LiveServer) -> None:
    answering(server, "Sunny.")
    messages: Any = [
        *HELLO,
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "get_weather", "arguments": '{"city": "Rome"}'},
        },
        {"role": "function", "name": "get_weather", "content": "sunny"},
    ]
    for functions in ([WEATHER], None):
        answer = ask(server, functions, messages).choices[0]
        assert (answer.message.content, answer.message.function_call, answer.finish_reason) == ("Sunny.", None, "stop")
        prompt = server.text.tokenizer.decode(server.engine.added[-1].prompt_ids)
        assert prompt.endswith("assistant:<tool_call>Rome</tool_call>tool:sunny")


@pytest.mark.parametrize(
    ("functions", "more", "param"),
    [
        ([{"name": "a b"}], {}, "functions.0.name"),
        ([OTHER, OTHER], {}, "functions.1.name"),
        ([{"name": "f", "parameters": []}], {}, "functions.0.parameters"),
        ([{"name": "f", "parameters": {"if": {}}}], {"function_call": {"name": "f"}}, "functions.0.parameters"),
        ([{"name": f"f{number}"} for number in range(129)], {}, "functions"),
        ([OTHER], {"function_call": {"name": "g"}}, "function_call.name"),
        ([OTHER], {"function_call": "required"}, "function_call"),
        ([OTHER], {"tools": [{"type": "function", "function": OTHER}]}, "functions"),
        (None, {"function_call": {"name": "f"}}, "function_call"),
        (
            None,
            {"messages": [{"role": "assistant", "function_call": {"name": "f"}}]},
            "messages.0.function_call.arguments",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(server: LiveServer, functions: Any, more: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        ask(server, functions, **more)
    assert (raised.value.param or "").startswith(param)
    assert param.split(".")[0] in str(raised.value.message)
    assert "tool_choice" not in str(raised.value.message)
