"""Thinking over HTTP, on a model whose template is like Qwen3's: apart from the answer, counted, limited, switched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from tokenizers import AddedToken

from portico.text.model import TextModel
from tests.server.harness import MODEL, LiveServer, answering, portico
from tests.text import folders

TEMPLATE = """{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.reasoning_content %}{{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}{%- endif %}
{{- (message.content or '') + '<|im_end|>\\n' }}
{%- endfor %}
{%- if tools %}{{- 'tools <tool_call> arguments' }}{%- endif %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- if opened %}{{- '<think>\\n' }}{%- endif %}"""
ASKED: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
TOOL: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module")
def thinking_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    tokenizer = folders.byte_level()
    marks = ("</think>", "<tool_call>", "</tool_call>")
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in marks])
    folder = folders.write_folder(tmp_path_factory.mktemp("thinking"), tokenizer, template=TEMPLATE)
    with portico(TextModel.load(folder)) as server:
        yield server


@pytest.fixture
def server(thinking_server: LiveServer) -> LiveServer:
    thinking_server.engine.added.clear()
    return thinking_server


def add_up(server: LiveServer, **more: Any) -> tuple[str, str, list[Any], str | None, Any]:
    """Reasoning, content, calls, reason and usage of a stream; both names must say the same."""
    asked = {**ASKED, **more, "stream": True, "stream_options": {"include_usage": True}}
    reasoning, content, calls, reason, usage = "", "", [], None, None
    with server.http().stream("POST", "/v1/chat/completions", json=asked) as answer:
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line.removeprefix("data: "))
            usage = chunk.get("usage") or usage
            for choice in chunk["choices"]:
                delta = choice["delta"]
                assert delta.get("reasoning") == delta.get("reasoning_content")
                assert not (delta.get("reasoning") and content)
                reasoning += delta.get("reasoning") or ""
                content += delta.get("content") or ""
                calls += delta.get("tool_calls") or []
                reason = choice["finish_reason"] or reason
    return reasoning, content, calls, reason, usage


@pytest.mark.parametrize("per_step", [1, 3, 100])
def test_apart_from_content_in_both_modes(server: LiveServer, per_step: int) -> None:
    ids = answering(server, "<think>\nIt is 东京.\n</think>\n\nParis", per_step=per_step)
    spent = ids.index(server.text.tokenizer.id_of("</think>")) + 1
    whole = server.http().post("/v1/chat/completions", json=ASKED).json()
    message = whole["choices"][0]["message"]
    assert (message["reasoning_content"], message["reasoning"]) == ("It is 东京.", "It is 东京.")
    assert message["content"] == "Paris"
    assert whole["usage"]["completion_tokens_details"] == {"reasoning_tokens": spent}
    reasoning, content, calls, reason, usage = add_up(server)
    assert (reasoning, content, calls, reason) == ("It is 东京.", "Paris", [], "stop")
    assert usage == whole["usage"]


def test_thinking_that_the_prompt_has_begun(server: LiveServer) -> None:
    answering(server, "Hm.\n</think>\n\nParis")
    assert add_up(server, chat_template_kwargs={"opened": True})[:2] == ("Hm.", "Paris")


@pytest.mark.parametrize(
    ("begun", "goes_on", "thought", "said"),
    [
        ("<think>\nIt", " is.\n</think>\nParis", " is.", "Paris"),
        ("<think>x</think>\nPa", "ris <think>", "", "ris <think>"),
    ],
)
def test_an_answer_that_goes_on_with_a_message_is_read_from_where_that_ends(
    server: LiveServer, begun: str, goes_on: str, thought: str, said: str
) -> None:
    answering(server, goes_on)
    messages = [*ASKED["messages"], {"role": "assistant", "content": begun}]
    reasoning, content, _, _, _ = add_up(server, messages=messages, continue_final_message=True)
    assert (reasoning, content) == (thought, said)


def test_thinking_that_is_cut_short_leaves_no_content(server: LiveServer) -> None:
    ids = answering(server, "<think>\nIt is", "length")
    reasoning, content, _, reason, usage = add_up(server, max_tokens=len(ids))
    assert (reasoning, content, reason) == ("It is", "", "length")
    assert usage["completion_tokens_details"]["reasoning_tokens"] == len(ids)


@pytest.mark.parametrize("field", [{"enable_thinking": False}, {"chat_template_kwargs": {"enable_thinking": False}}])
def test_switched_off(server: LiveServer, field: dict[str, Any]) -> None:
    answering(server, "Say <think> to think.")
    reasoning, content, _, _, usage = add_up(server, **field)
    assert (reasoning, content) == ("", "Say <think> to think.")
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 0}
    prompt = server.text.tokenizer.decode(server.engine.added[0].prompt_ids, skip_special_tokens=False)
    assert prompt.endswith("<think>\n\n</think>\n\n")


@pytest.mark.parametrize(("effort", "off"), [("none", True), ("high", False)])
def test_effort_switches_it_where_the_template_can(server: LiveServer, effort: str, off: bool) -> None:
    answering(server, "Paris")
    server.http().post("/v1/chat/completions", json={**ASKED, "reasoning_effort": effort}).raise_for_status()
    prompt = server.text.tokenizer.decode(server.engine.added[0].prompt_ids, skip_special_tokens=False)
    assert prompt.endswith("</think>\n\n") is off


def test_an_answer_without_thinking_is_content(server: LiveServer) -> None:
    answering(server, " Paris")
    reasoning, content, _, _, usage = add_up(server)
    assert (reasoning, content) == ("", " Paris")
    assert usage["completion_tokens_details"] == {"reasoning_tokens": 0}


def test_left_out_if_wanted(server: LiveServer) -> None:
    answering(server, "<think>\nIt is.\n</think>\n\nParis")
    reasoning, content, _, _, usage = add_up(server, include_reasoning=False)
    assert (reasoning, content) == ("", "Paris")
    assert usage["completion_tokens_details"]["reasoning_tokens"] > 2


def test_calls_behind_thinking(server: LiveServer) -> None:
    answering(server, '<think>\nA tool.\n</think>\n\nWait.\n<tool_call>\n{"name": "f"}\n</tool_call>')
    reasoning, content, calls, reason, _ = add_up(server, tools=[TOOL])
    assert (reasoning, content, reason) == ("A tool.", "Wait.", "tool_calls")
    assert [call["function"]["arguments"] for call in calls] == ["", "{}"]


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_both_names_are_accepted_in_messages(server: LiveServer, name: str) -> None:
    answering(server, "ok")
    turn = {"role": "assistant", "content": "Paris", name: "It is."}
    messages = [*ASKED["messages"], turn, {"role": "user", "content": "Sure?"}]
    server.http().post("/v1/chat/completions", json={**ASKED, "messages": messages}).raise_for_status()
    prompt = server.text.tokenizer.decode(server.engine.added[0].prompt_ids, skip_special_tokens=False)
    assert "<think>\nIt is.\n</think>\n\nParis" in prompt


def test_the_budget_reaches_the_engine(server: LiveServer) -> None:
    begin, end = (server.text.tokenizer.id_of(mark) for mark in ("<think>", "</think>"))
    answering(server, "ok")
    for more, expected in (({}, (begin,)), ({"chat_template_kwargs": {"opened": True}}, ())):
        server.http().post("/v1/chat/completions", json={**ASKED, "thinking_token_budget": 7, **more})
        limit = server.engine.added[-1].params.thinking
        assert limit is not None
        assert (limit.budget, limit.begin, limit.end) == (7, expected, (end,))


def test_the_official_client_reads_both_names(server: LiveServer) -> None:
    answering(server, "<think>\nIt is.\n</think>\n\nParis")
    client: openai.OpenAI = server.openai()
    message: Any = client.chat.completions.create(**ASKED).choices[0].message
    assert (message.reasoning_content, message.reasoning, message.content) == ("It is.", "It is.", "Paris")
    chunks: list[Any] = list(client.chat.completions.create(**ASKED, stream=True))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "It is."
