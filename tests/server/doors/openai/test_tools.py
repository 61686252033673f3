"""Tool calls over HTTP, with an engine that says what a test wants: what reaches it, and what the client gets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from msgspec.structs import replace

from portico.config.text import TextOptions
from portico.protocol.limits import LIMITS
from portico.protocol.messages import TokenLogprobs
from portico.text.model import TextModel
from tests.server.harness import MODEL, LiveServer, answering, portico
from tests.text.folders import write_folder

TEMPLATE = (
    "{% for tool in tools or [] %}{{ tool | tojson }}\n{% endfor %}"
    "{% for message in messages %}{{ message.role + ':' + (message.content or '') }}"
    "{% for call in message.tool_calls or [] %}<tool_call>{{ call.function.arguments.city }}</tool_call>{% endfor %}\n"
    "{% endfor %}"
)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": SCHEMA}}
OTHER: Any = {"type": "function", "function": {"name": "f"}}
ROME = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome 😀"}}\n</tool_call>'
PLAIN = '<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
HELLO: Any = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def tool_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = write_folder(tmp_path_factory.mktemp("tools"), template=TEMPLATE)
    with portico(TextModel.load(folder, TextOptions(tool_call_parser="hermes"))) as server:
        yield server


@pytest.fixture
def server(tool_server: LiveServer) -> LiveServer:
    tool_server.engine.added.clear()
    tool_server.engine.cancelled.clear()
    return tool_server


def ask(server: LiveServer, tools: Any = (TOOL, OTHER), **more: Any) -> Any:
    return server.openai().chat.completions.create(model=MODEL, messages=HELLO, tools=list(tools), **more)


def streamed(server: LiveServer, **more: Any) -> tuple[str, list[list[Any]], str]:
    """Text, calls as [id, name, arguments], and reason of a stream; checks the order of a call's deltas."""
    text, calls, reason = "", [], ""
    for chunk in ask(server, stream=True, **more):
        delta, reason = chunk.choices[0].delta, chunk.choices[0].finish_reason or reason
        text += delta.content or ""
        for call in delta.tool_calls or []:
            if call.index == len(calls):
                assert (call.type, call.function.arguments) == ("function", "")
                calls.append([call.id, call.function.name, ""])
            else:
                assert call.index == len(calls) - 1
                assert (call.id, call.type, call.function.name) == (None, None, None)
                assert call.function.arguments
                calls[-1][2] += call.function.arguments
    return text, calls, reason


@pytest.mark.parametrize("per_step", [1, 4, 1000])
def test_text_and_several_calls(server: LiveServer, per_step: int) -> None:
    answering(server, f"Let me see.\n\n{ROME}\n{PLAIN}\nDone.", per_step=per_step)
    choice = ask(server).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content.split() == ["Let", "me", "see.", "Done."]
    made = [[call.id, call.function.name, call.function.arguments] for call in choice.message.tool_calls]
    assert [call[1:] for call in made] == [["get_weather", '{"city": "Rome 😀"}'], ["f", "{}"]]
    text, calls, reason = streamed(server)
    assert (text, reason) == (choice.message.content, "tool_calls")
    assert [call[1:] for call in calls] == [call[1:] for call in made]
    ids = [call[0] for call in (*made, *calls)]
    assert len(set(ids)) == 4
    assert all(call_id.startswith("call_") for call_id in ids)


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_no_call_is_content(server: LiveServer, stream: bool) -> None:
    text = 'So: <tool_call>{"name": no}</tool_call> and [f(x)].'
    answering(server, text)
    if stream:
        assert streamed(server) == (text, [], "stop")
    else:
        choice = ask(server).choices[0]
        assert (choice.message.content, choice.message.tool_calls, choice.finish_reason) == (text, None, "stop")


def test_a_call_that_is_cut_short_ends_with_length(server: LiveServer) -> None:
    answering(server, ROME[:62], finish="length")
    _, [call], reason = streamed(server)
    assert (call[2], reason) == ('{"city": "Rom', "length")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
@pytest.mark.parametrize("count", [20, 35, 43, 62])
def test_a_call_that_must_be_made_and_is_cut_off_is_one(server: LiveServer, choice: Any, count: int) -> None:
    answering(server, ROME[:count], finish="length")
    given = ask(server, tool_choice=choice, max_tokens=30).choices[0]
    assert (given.message.content, given.finish_reason) in ((None, "length"), ("", "length"))
    made = [(call.function.name, call.function.arguments) for call in given.message.tool_calls or []]
    known = count > 20 or choice != "required"
    assert made == [("get_weather", '{"city": "Rom' if count == 62 else "")] * known
    text, calls, reason = streamed(server, tool_choice=choice, max_tokens=30)
    assert (text, reason) == ("", "length")
    assert [(call[1], call[2]) for call in calls] == made


@pytest.mark.parametrize("stream", [False, True])
def test_one_call_at_most_without_parallel_calls(server: LiveServer, stream: bool) -> None:
    answering(server, ROME + "\n" + PLAIN * 3)
    if stream:
        assert len(streamed(server, parallel_tool_calls=False)[1]) == 1
    else:
        assert len(ask(server, parallel_tool_calls=False).choices[0].message.tool_calls) == 1
    assert (server.engine.added[0].request_id, 0) in server.engine.cancelled


@pytest.mark.parametrize(
    ("choice", "shown", "held"),
    [
        ("auto", ["get_weather", "f"], False),
        ("none", [], False),
        ("required", ["get_weather", "f"], True),
        ({"type": "function", "function": {"name": "f"}}, ["get_weather", "f"], True),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [OTHER]}}, ["f"], False),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [OTHER]}}, ["f"], True),
    ],
)
def test_the_choice_decides_what_is_shown_and_held(
    server: LiveServer, choice: Any, shown: list[str], held: bool
) -> None:
    answering(server, PLAIN)
    ask(server, tool_choice=choice)
    [added] = server.engine.added
    prompt = server.text.tokenizer.decode(added.prompt_ids)
    assert [name for name in ("get_weather", "f") if f'"name": "{name}"' in prompt] == shown
    assert (added.params.grammar is not None) is held


def test_strict_tools_and_forms_are_held(server: LiveServer) -> None:
    answering(server, PLAIN)
    strict = {"type": "function", "function": {**TOOL["function"], "strict": True}}
    form: Any = {"type": "json_object"}
    for tools, more in (([strict], {}), ([TOOL], {"response_format": form})):
        ask(server, tools, **more)
        assert server.engine.added[-1].params.grammar is not None


def test_turns_with_calls_are_input(server: LiveServer) -> None:
    """Arguments as text become an object; null content stays none; the result may come in parts."""
    answering(server, "Sunny.")
    call = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
    messages: Any = [
        *HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "sunny"}]},
    ]
    server.openai().chat.completions.create(model=MODEL, messages=messages, tools=[TOOL])
    prompt = server.text.tokenizer.decode(server.engine.added[0].prompt_ids)
    assert "assistant:<tool_call>Rome</tool_call>tool:sunny" in prompt


@pytest.mark.parametrize(
    ("tools", "more", "param"),
    [
        ([{**OTHER, "function": {"name": f"f{n}"}} for n in range(LIMITS.entries["tools"] + 1)], {}, "tools"),
        ([TOOL, {"type": "function", "function": {"name": "a b"}}], {}, "tools.1.function.name"),
        ([{"type": "function", "function": {"name": "f", "parameters": "x"}}], {}, "tools.0.function.parameters"),
        ([{"type": "function", "function": {"name": "f", "strict": True, "parameters": {"if": {}}}}], {},
         "tools.0.function.parameters"),
        ([OTHER, {"type": "function", "function": {"name": "g", "parameters": {"if": {}}}}],
         {"tool_choice": {"type": "function", "function": {"name": "g"}}}, "tools.1.function.parameters"),
        ([TOOL], {"tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice.function.name"),
        ([], {"tool_choice": "required"}, "tool_choice"),
        ([TOOL], {"tool_choice": "any"}, "tool_choice"),
    ],
)  # fmt: skip
def test_bad_tools_are_refused_by_name(server: LiveServer, tools: Any, more: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(server, tools, **more)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("template", "words"), [(TEMPLATE, "--tool-call-parser"), ("{{ messages[0].tools }}", "no place")]
)
def test_a_model_that_cannot_call_tools_says_so(
    tmp_path_factory: pytest.TempPathFactory, template: str, words: str
) -> None:
    parser = "none" if words.startswith("--") else "hermes"
    folder = write_folder(tmp_path_factory.mktemp("none"), template=template)
    with portico(TextModel.load(folder, TextOptions(tool_call_parser=parser))) as server:
        with pytest.raises(openai.BadRequestError, match=words) as caught:
            ask(server)
        assert caught.value.param == "tools"


RESULT: Any = {"role": "tool", "tool_call_id": "1", "content": "cold"}
CALLED: Any = {
    "role": "assistant",
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
BARE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
TWO_ROLES = "{% for m in messages %}{{ 'Q' if m.role == 'user' else 'A' }}: {{ m.content }}\n{% endfor %}"
SEEING = BARE + "{% for m in messages %}{{ m.tool_calls }}{% endfor %}"


@pytest.mark.parametrize(
    ("template", "turns", "param"),
    [
        (BARE, [CALLED, RESULT], "messages.1.tool_calls"),
        (TWO_ROLES, [CALLED, RESULT], "messages.1.tool_calls"),
        (TWO_ROLES, [RESULT], "messages.1.role"),
        (BARE, [RESULT], None),
        (SEEING, [CALLED, RESULT], None),
    ],
)
def test_turns_that_the_template_would_lose_are_refused(
    tmp_path: Path, template: str, turns: list[Any], param: str | None
) -> None:
    with portico(TextModel.load(write_folder(tmp_path, template=template))) as server:
        answering(server, "x")
        create = server.openai().chat.completions.create
        if param is None:
            assert create(model=MODEL, messages=[*HELLO, *turns]).choices[0].message.content == "x"
            return
        with pytest.raises(openai.BadRequestError, match="chat template does not write") as caught:
            create(model=MODEL, messages=[*HELLO, *turns])
        assert (caught.value.param, caught.value.code) == (param, "unsupported_content")


@pytest.mark.parametrize(
    ("call", "field"),
    [
        ({}, ""),
        ({"function": "f"}, ""),
        ({"function": {"arguments": "{}"}}, ".name"),
        ({"function": {"name": "f"}}, ".arguments"),
        ({"function": {"name": "f", "arguments": 5}}, ".arguments"),
    ],
)
def test_calls_in_messages_that_are_none_are_refused_by_name(server: LiveServer, call: Any, field: str) -> None:
    called = {"role": "assistant", "tool_calls": [CALLED["tool_calls"][0], {"id": "2", "type": "function", **call}]}
    for path, body in (("/v1/chat/completions", {"model": MODEL}), ("/tokenize", {})):
        answer = server.http().post(path, json={**body, "messages": [*HELLO, called, RESULT]})
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == f"messages.1.tool_calls.1.function{field}"


def test_a_choice_among_many_tools_that_is_none_of_them(server: LiveServer) -> None:
    tools = [{"type": "function", "function": {"name": f"f{number}"}} for number in range(LIMITS.entries["tools"])]
    with pytest.raises(openai.BadRequestError, match=r"is 'g'; tools has 'f0', .*'f9' and 118 more") as caught:
        ask(server, tools, tool_choice={"type": "function", "function": {"name": "g"}})
    assert caught.value.param == "tool_choice.function.name"


NAMED = [
    {"name": "default", "template": "plain {{ messages[0].content }} {{ effort }}"},
    {"name": "tool_use", "template": "{{ tools[0].function.name }} {{ messages[0].content }} {{ reasoning_effort }}"},
]


def test_tools_and_effort_are_for_the_template_that_is_chosen(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = write_folder(tmp_path_factory.mktemp("named"), config={"chat_template": NAMED}, template=None)
    with portico(TextModel.load(folder, TextOptions(tool_call_parser="hermes"))) as server:
        answering(server, "x")
        ask(server, reasoning_effort="high")
        tokens = (
            server.http()
            .post("/tokenize", json={"messages": HELLO, "tools": [TOOL], "reasoning_effort": "high"})
            .json()["tokens"]
        )
        assert server.engine.added[0].prompt_ids == tokens
        assert server.text.tokenizer.decode(tokens) == f"{TOOL['function']['name']} hi high"
        for more, param in (({"chat_template": "default"}, "tools"), ({}, "reasoning_effort")):
            with pytest.raises(openai.BadRequestError) as caught:
                ask(server, [TOOL] if more else [], reasoning_effort="high", extra_body=more)
            assert caught.value.param == param


def test_logprobs_of_calls_are_those_of_their_tokens(server: LiveServer) -> None:
    answering(server, PLAIN)
    ids = server.text.tokenizer.encode(PLAIN, add_special_tokens=False)
    script = server.engine.script

    def scored(add: Any) -> Any:
        for step in script(add):
            yield [replace(e, logprobs=[TokenLogprobs(-1.0, 1, [], []) for _ in e.token_ids]) for e in step]

    server.engine.script = scored
    told = [c.choices[0].logprobs for c in ask(server, stream=True, logprobs=True) if c.choices[0].logprobs]
    assert [entry.token for part in told for entry in part.content][: len(ids)] == [
        server.text.tokenizer.bytes_of(token_id).decode("utf-8", "replace") for token_id in ids
    ]
