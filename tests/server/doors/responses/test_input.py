"""What is asked: items as the model reads them, tools, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server.doors.responses.conftest import PATCH, WEATHER, post, stream
from tests.server.harness import MODEL, LiveServer, answering
from tests.server.thinker import call_of, prompt

CALL = {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": '{"city":"Rome"}'}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}


def said(role: str, text: str, kind: str = "input_text") -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


@pytest.mark.parametrize(
    ("given", "instructions", "read"),
    [
        ("hi", None, "[user]hi"),
        ([{"role": "user", "content": "hi"}], "Rule.", "[system]Rule.[user]hi"),
        (
            [said("developer", "D"), said("system", "S"), said("user", "a"), said("user", "b"), said("developer", "E")],
            "Rule.",
            "[system]Rule.\n\nD\n\nS[user]a[user]b[system]E",
        ),
        ([said("developer", "D"), said("user", "a")], None, "[system]D[user]a"),
        (
            [said("user", "a"), {"role": "assistant", "content": "b"}, said("assistant", "c", "output_text")],
            None,
            "[user]a[assistant]b[assistant]c",
        ),
        (
            [
                said("user", "a"),
                {
                    "type": "reasoning",
                    "id": "rs_x",
                    "summary": [],
                    "content": [{"type": "reasoning_text", "text": "t"}],
                },
                said("assistant", "Let me see.", "output_text"),
                CALL,
                {**CALL, "call_id": "c2"},
                RESULT,
                {**RESULT, "call_id": "c2", "output": [{"type": "input_text", "text": "rain"}]},
                said("user", "and?"),
            ],
            None,
            '[user]a[assistant]<think>t</think>Let me see.<tool_call>get_weather{"city": "Rome"}</tool_call>'
            '<tool_call>get_weather{"city": "Rome"}</tool_call>[tool]sunny[tool]rain[user]and?',
        ),
        (
            [
                said("user", "a"),
                {"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": 'x"y'},
                {"type": "custom_tool_call_output", "call_id": "c", "output": "done"},
            ],
            None,
            '[user]a[assistant]<tool_call>apply_patch{"input": "x\\"y"}</tool_call>[tool]done',
        ),
        (
            [
                said("user", "a"),
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "s"}], "encrypted_content": "???"},
                {**CALL, "namespace": "crm"},
                RESULT,
            ],
            None,
            '[user]a[assistant]<think>s</think><tool_call>crm__get_weather{"city": "Rome"}</tool_call>[tool]sunny',
        ),
    ],
)
def test_items_are_read_as_messages(server: LiveServer, given: Any, instructions: str | None, read: str) -> None:
    answering(server, "x")
    post(server, {"input": given, "instructions": instructions})
    assert prompt(server) == f"{read}[assistant]"


def test_thinking_that_was_sealed_is_read_again(server: LiveServer) -> None:
    answering(server, f"<think>\n巴黎?\n</think>\n\n{call_of('get_weather', city='x')}")
    asked = {"tools": [WEATHER], "include": ["reasoning.encrypted_content"], "store": False}
    thought, call = post(server, asked)["output"]
    del thought["content"]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "1"}
    post(server, {**asked, "input": [said("user", "hi"), thought, call, result]})
    assert (
        prompt(server).split("[user]hi")[1].startswith('[assistant]<think>巴黎?</think><tool_call>get_weather{"city"')
    )


def test_custom_tools_are_functions_of_one_text(server: LiveServer) -> None:
    answering(server, "x")
    lark = {"type": "grammar", "syntax": "lark", "definition": 'start: "a"+'}
    regex = {"type": "grammar", "syntax": "regex", "definition": "[ab]+"}
    tools = [PATCH, {**PATCH, "name": "l", "format": lark}, {**PATCH, "name": "r", "format": regex}]
    body = {"model": MODEL, "input": "hi", "tools": tools}
    answer = server.http().post("/v1/responses", json=body)
    assert answer.headers["x-portico-ignored"] == "tools.1.format"
    shown = [json.loads(line)["function"] for line in prompt(server).split("[user]")[0].splitlines()]
    assert [function["name"] for function in shown] == ["apply_patch", "l", "r"]
    assert shown[0]["parameters"]["properties"] == {"input": {"type": "string"}}
    assert 'start: "a"+' in shown[1]["description"]
    assert server.engine.added[-1].params.grammar is not None  # the regular expression is held to
    assert answer.json()["tools"] == tools


@pytest.mark.parametrize(
    ("choice", "shown", "held"),
    [
        (None, 2, False),
        ("auto", 2, False),
        ("none", 0, False),
        ("required", 2, True),
        ({"type": "function", "name": "get_weather"}, 2, True),
        ({"type": "custom", "name": "apply_patch"}, 2, True),
        ({"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "apply_patch"}]}, 1, True),
        ({"type": "allowed_tools", "tools": [{"type": "function", "name": "get_weather"}]}, 1, False),
    ],
)
def test_tool_choice(server: LiveServer, choice: Any, shown: int, held: bool) -> None:
    answering(server, "x")
    told = post(server, {"tools": [WEATHER, PATCH], "tool_choice": choice})["tool_choice"]
    assert prompt(server).count('"type": "function", "function"') == shown
    assert (server.engine.added[-1].params.grammar is not None) == held
    assert told == (
        choice if isinstance(choice, str) else {"mode": "auto", **choice} if shown == 1 else choice or "auto"
    )


def test_one_call_at_most_without_parallel_calls(server: LiveServer) -> None:
    answering(server, call_of("get_weather", city="a") * 3)
    assert len(post(server, {"tools": [WEATHER], "parallel_tool_calls": False})["output"]) == 1


def test_namespaces_and_tools_that_come_later(server: LiveServer) -> None:
    answering(server, call_of("mcp__crm__find", city="a") + call_of("late", city="b"))
    crm = {"type": "namespace", "name": "mcp__crm__", "description": "x", "tools": [{**WEATHER, "name": "find"}]}
    later = {"type": "additional_tools", "role": "developer", "tools": [{**WEATHER, "name": "late"}]}
    found, late = post(server, {"tools": [crm], "input": [said("user", "hi"), later]})["output"]
    assert (found["namespace"], found["name"]) == ("mcp__crm__", "find")
    assert (late.get("namespace"), late["name"]) == (None, "late")


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}, "json"),
    ],
)
def test_texts_of_a_form(server: LiveServer, wish: Any, field: str) -> None:
    answering(server, "{}")
    told = post(server, {"text": {"format": wish}})["text"]["format"]
    assert told.items() >= wish.items()
    assert server.engine.added[-1].params.grammar is not None


def test_sampling(server: LiveServer) -> None:
    answering(server, "x")
    told = post(server, {"temperature": 0.5, "top_p": 0.25, "seed": 3, "presence_penalty": 1, "max_output_tokens": 9})
    params = server.engine.added[-1].params
    assert (params.temperature, params.top_p, params.seed, params.presence_penalty) == (0.5, 0.25, 3, 1.0)
    assert (told["temperature"], told["top_p"], told["presence_penalty"]) == (0.5, 0.25, 1.0)
    assert (params.max_tokens, told["max_output_tokens"]) == (9, 9)
    assert (post(server, {})["temperature"], post(server, {})["truncation"]) == (1.0, "disabled")


@pytest.mark.parametrize("effort", ["none", "low"])
def test_effort(server: LiveServer, effort: str) -> None:
    answering(server, "x")
    assert post(server, {"reasoning": {"effort": effort}})["reasoning"] == {"effort": effort, "summary": None}
    assert prompt(server).endswith("</think>\n\n") == (effort == "none")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input.0.role"),
        ({"input": [{"type": "web_search_call", "id": "x"}]}, "input.0.type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
            "input.0.content.0.type",
        ),
        ({"input": [{"role": "user", "content": 5}]}, "input.0.content"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input.0.call_id"),
        ({"input": [RESULT]}, "input"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input.0.id"),
        ({"tools": [WEATHER, {"type": "file_search"}]}, "tools.1.type"),
        ({"tools": [{"type": "function"}]}, "tools.0.name"),
        ({"tools": [{"type": "web_search"}, {**WEATHER, "name": "a b"}]}, "tools.1.name"),
        ({"tools": [{"type": "web_search"}, {**WEATHER, "strict": 5}]}, "tools.1.strict"),
        ({"tools": [{**PATCH, "format": {"type": "grammar"}}]}, "tools.0.format"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "g"}}, "tool_choice.name"),
        ({"tools": [WEATHER], "tool_choice": {"type": "web_search"}}, "tool_choice"),
        (
            {
                "tools": [WEATHER],
                "tool_choice": {"type": "allowed_tools", "tools": [{"type": "function", "name": "g"}]},
            },
            "tool_choice.tools.0.name",
        ),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "yaml"}}}, "text.format.type"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"include": ["everything"]}, "include.0"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 100_000}, "max_output_tokens"),
        ({"background": True}, "background"),
        ({"conversation": "c"}, "conversation"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"stream_options": {}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"previous_response_id": "resp_x"}, "previous_response_id"),
        ({"metadata": {"a": "b" * 513}}, "metadata.a"),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata"),
        ({"truncation": "never"}, "truncation"),
        ({"model": "other"}, "model"),
    ],
)
def test_what_cannot_be_honoured_is_named(server: LiveServer, body: dict[str, Any], param: str) -> None:
    answer = server.http().post("/v1/responses", json={"model": MODEL, "input": "hi", **body})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (404 if param == "model" else 400, param), error
    assert param.rpartition(".")[2] in error["message"]


def test_unknown_fields_are_named(server: LiveServer) -> None:
    answering(server, "x")
    body = {"model": MODEL, "input": "hi", "novel": 1, "tools": [{"type": "web_search", "external_web_access": False}]}
    answer = server.http().post("/v1/responses", json=body)
    assert answer.headers["x-portico-ignored"] == "novel, tools.0"


def test_the_oldest_turns_are_left_out_if_asked(server: LiveServer) -> None:
    answering(server, "x")
    turns = [said("user" if place % 2 == 0 else "assistant", f"<{place}>" + "a b" * 40) for place in range(61)]
    body = {"input": [said("system", "S"), *turns], "max_output_tokens": 16}
    assert post(server, body, 400)["error"]["code"] == "context_length_exceeded"
    post(server, {**body, "truncation": "auto"})
    read = prompt(server)
    assert read.startswith("[system]S[user]<")
    assert f"<{60}>" in read
    assert "<1>" not in read
    kept = int(read.removeprefix("[system]S[user]<").partition(">")[0])
    rest = {**body, "input": [said("system", "S"), *turns[kept:]]}
    post(server, rest)
    assert prompt(server) == read
    post(server, {**rest, "input": [said("system", "S"), *turns[kept - 2 :]]}, 400)
    post(server, {"input": [said("user", "a b" * 9000)], "truncation": "auto"}, 400)


CODEX: dict[str, Any] = {
    "model": MODEL,
    "instructions": "You are a coding agent.",
    "input": [
        said("developer", "<permissions>"),
        said("user", "<environment_context>"),
        said("user", "Fix the bug."),
    ],
    "tools": [
        {
            "type": "function",
            "name": "shell_command",
            "description": "Runs a command",
            "strict": False,
            "parameters": {
                "type": "object",
                "properties": {"command": {"type": "string"}, "timeout_ms": {"type": "number"}},
                "required": ["command"],
                "additionalProperties": False,
            },
        },
        {**PATCH, "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}},
        {"type": "namespace", "name": "mcp__docs__", "description": "d", "tools": [{**WEATHER, "name": "read"}]},
        {"type": "web_search", "external_web_access": False},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0199a213-81c0-7800-8aa1-bbab2a035a53",
    "client_metadata": {"x-installation-id": "1"},
}
"""What Codex CLI sends: its fields, kinds of tools and of items."""


def test_a_coding_agent_works_without_any_state(server: LiveServer) -> None:
    calls = call_of("shell_command", command="ls") + call_of("mcp__docs__read", city="a")
    answering(server, f"<think>\nLook first.\n</think>\n\nI will look.{calls}")
    events = stream(server, CODEX)
    assert prompt(server).count("[system]") == 1
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert [item["type"] for item in done] == ["reasoning", "message", "function_call", "function_call"]
    assert (done[3]["namespace"], done[3]["name"]) == ("mcp__docs__", "read")
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["usage"]["total_tokens"] > 0
    # It sends everything again, what was thought only sealed or as a summary, and without ids.
    back = [{name: value for name, value in item.items() if name not in ("id", "status", "content")} for item in done]
    back[1]["content"] = done[1]["content"]
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "Exit code: 0"} for item in done[2:]
    ]
    answering(server, call_of("apply_patch", input="*** Begin Patch\n*** End Patch"))
    events = stream(server, {**CODEX, "input": [*CODEX["input"], *back, *results]})
    assert "[assistant]<think>Look first.</think>I will look.<tool_call>shell_command" in prompt(server)
    [patch] = events[-1]["response"]["output"]
    assert (patch["type"], patch["input"]) == ("custom_tool_call", "*** Begin Patch\n*** End Patch")
