"""Answers on channels over HTTP, on a model whose template is like gpt-oss's: thought, said and called in any order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from portico.text.model import TextModel
from portico.text.tools.harmony import HARMONY
from tests.server.fake_engine import say
from tests.server.harness import MODEL, LiveServer, portico
from tests.text import folders

TEMPLATE = """{%- if tools %}{{- '<|start|>developer<|message|>' + (tools | tojson) + '<|end|>' }}{%- endif %}
{%- for message in messages %}
{%- if message.role == 'tool' %}{{- '<|start|>functions.f to=assistant<|channel|>commentary<|message|>' }}
{%- elif message.tool_calls %}
{%- for call in message.tool_calls %}
{{- '<|start|>assistant to=functions.' + call.function.name + '<|channel|>commentary json<|message|>' }}
{{- (call.function.arguments | tojson) + '<|call|>' }}
{%- endfor %}
{%- elif message.role == 'assistant' %}{{- '<|start|>assistant<|channel|>final<|message|>' }}
{%- else %}{{- '<|start|>' + message.role + '<|message|>' }}{%- endif %}
{{- message.content or '' }}
{%- if not loop.last or add_generation_prompt %}{{- '<|end|>' }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}"""
THOUGHT = "<|channel|>analysis<|message|>They ask for 东京.<|end|>"
AGAIN = "<|start|>assistant<|channel|>analysis<|message|>So f it is.<|end|>"
LOOKS = "<|start|>assistant<|channel|>commentary<|message|>Let me look.<|end|>"
CALLS = '<|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a": [1]}'
FINAL = "<|start|>assistant<|channel|>final<|message|>Paris < Rome"
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "f",
        "parameters": {"type": "object", "properties": {"a": {"enum": [7]}}, "required": ["a"],
                       "additionalProperties": False},
    },
}  # fmt: skip
ASKED: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
FORM: dict[str, Any] = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"const": {"a": 1}}}}


@pytest.fixture(scope="module")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    tokenizer = folders.byte_level()
    tokenizer.add_special_tokens(list(HARMONY.markers))
    folder = folders.write_folder(tmp_path_factory.mktemp("channels"), tokenizer, template=TEMPLATE)
    with portico(TextModel.load(folder)) as server:
        yield server


@pytest.fixture
def server(channels: LiveServer) -> LiveServer:
    channels.engine.added.clear()
    return channels


def answering(server: LiveServer, text: str, finish: str = "stop", per_step: int = 1) -> list[int]:
    ids = server.text.tokenizer.encode(text, add_special_tokens=False)
    server.engine.script = say(ids, finish, per_step)
    return ids


def whole(server: LiveServer, **more: Any) -> dict[str, Any]:
    answer = server.http().post("/v1/chat/completions", json={**ASKED, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def streamed(server: LiveServer, **more: Any) -> tuple[dict[str, Any], Any]:
    """The deltas added up to a message, and the usage."""
    asked = {**ASKED, **more, "stream": True, "stream_options": {"include_usage": True}}
    message: dict[str, Any] = {"content": "", "reasoning": "", "arguments": "", "names": []}
    usage = None
    with server.http().stream("POST", "/v1/chat/completions", json=asked) as answer:
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line.removeprefix("data: "))
            usage = chunk.get("usage") or usage
            for choice in chunk["choices"]:
                delta = choice["delta"]
                for name in ("content", "reasoning"):
                    message[name] += delta.get(name) or ""
                for call in delta.get("tool_calls") or []:
                    message["names"] += [call["function"]["name"]] if "name" in call["function"] else []
                    message["arguments"] += call["function"].get("arguments", "")
                message["reason"] = choice["finish_reason"]
    return message, usage


@pytest.mark.parametrize("per_step", [1, 3, 100])
def test_thought_said_and_called_in_both_modes(server: LiveServer, per_step: int) -> None:
    ids = answering(server, THOUGHT + LOOKS + AGAIN + CALLS, per_step=per_step)
    answer = whole(server, tools=[TOOL])
    [choice] = answer["choices"]
    assert choice["message"]["reasoning_content"] == "They ask for 东京.\nSo f it is."
    assert choice["message"]["content"] == "Let me look."
    [call] = choice["message"]["tool_calls"]
    assert call["function"] == {"name": "f", "arguments": '{"a": [1]}'}
    assert choice["finish_reason"] == "tool_calls"
    spent = answer["usage"]["completion_tokens_details"]["reasoning_tokens"]
    texts = server.text.tokenizer.encode("They ask for 东京.So f it is.", add_special_tokens=False)
    assert len(texts) <= spent <= len(texts) + 8 < len(ids)
    message, usage = streamed(server, tools=[TOOL])
    assert message == {
        "reasoning": "They ask for 东京.\nSo f it is.",
        "content": "Let me look.",
        "names": ["f"],
        "arguments": '{"a": [1]}',
        "reason": "tool_calls",
    }
    assert usage == answer["usage"]


def test_an_answer_without_tools(server: LiveServer) -> None:
    answering(server, THOUGHT + LOOKS + FINAL)
    message = whole(server)["choices"][0]["message"]
    assert (message["reasoning"], message["content"]) == ("They ask for 东京.", "Let me look.\nParis < Rome")
    answering(server, THOUGHT + FINAL)
    message = whole(server, include_reasoning=False)["choices"][0]["message"]
    assert "reasoning" not in message
    assert message["content"] == "Paris < Rome"
    answering(server, "on channels<|channel|>final<|message|> again")
    talk = [*ASKED["messages"], {"role": "assistant", "content": "It goes "}]
    going_on = whole(server, messages=talk, continue_final_message=True, add_generation_prompt=False)
    assert going_on["choices"][0]["message"]["content"] == "on channels\n again"


def test_what_is_cut_short(server: LiveServer) -> None:
    answering(server, THOUGHT[:-12], "length")
    [choice] = whole(server)["choices"]
    assert (choice["message"]["content"] or "", choice["finish_reason"]) == ("", "length")
    answering(server, THOUGHT + CALLS[:-3], "length")
    [choice] = whole(server, tools=[TOOL])["choices"]
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"a": ['
    assert choice["finish_reason"] == "length"


def test_a_tool_that_nobody_offers_is_thought(server: LiveServer) -> None:
    answering(server, '<|channel|>commentary to=browser.search<|message|>{"query": 1}<|end|>' + FINAL)
    message = whole(server, tools=[TOOL])["choices"][0]["message"]
    assert (message["reasoning"], message["content"]) == ('{"query": 1}', "Paris < Rome")
    answering(server, CALLS)
    assert whole(server)["choices"][0]["finish_reason"] == "stop"


def accepts(server: LiveServer, text: str) -> bool:
    """Whether the grammar of the latest request lets an answer be this."""
    grammar = server.engine.added[-1].params.grammar
    assert grammar is not None
    ids = server.text.tokenizer.encode(text, add_special_tokens=False)
    matcher = LLMatcher(LLTokenizer(server.text.tokenizer._rust.to_str()), grammar.text)
    return bool(matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting())


def test_a_form_is_that_of_the_final_message(server: LiveServer) -> None:
    whole(server, response_format=FORM)
    for before in ("", THOUGHT + "<|start|>assistant", THOUGHT + AGAIN + "<|start|>assistant"):
        assert accepts(server, before + '<|channel|>final<|message|>{"a": 1}')
        assert not accepts(server, before + '<|channel|>final<|message|>{"a": 2}')
        assert not accepts(server, before + '{"a": 1}')


def test_a_call_that_must_be_made(server: LiveServer) -> None:
    call = CALLS.removeprefix("<|start|>assistant")
    whole(server, tools=[TOOL], tool_choice="required")
    assert accepts(server, THOUGHT + "<|start|>assistant" + call.replace("[1]", "7"))
    assert accepts(server, call.replace("[1]", "7"))
    assert not accepts(server, THOUGHT + "<|start|>assistant" + call)
    assert not accepts(server, THOUGHT + FINAL)


def test_strict_tools(server: LiveServer) -> None:
    strict = {"type": "function", "function": {**TOOL["function"], "strict": True}}
    whole(server, tools=[strict])
    assert accepts(server, THOUGHT + FINAL)
    assert accepts(server, THOUGHT + LOOKS + AGAIN + CALLS.replace("[1]", "7"))
    assert not accepts(server, THOUGHT + CALLS)
    moved = "<|start|>assistant to=functions.f<|channel|>commentary json<|message|>{}"
    assert not accepts(server, THOUGHT + moved)


def test_a_budget_ends_the_first_thought(server: LiveServer) -> None:
    whole(server, thinking_token_budget=5)
    limit = server.engine.added[-1].params.thinking
    assert limit is not None
    tokenizer = server.text.tokenizer
    assert tokenizer.decode(limit.begin, skip_special_tokens=False) == "<|channel|>analysis<|message|>"
    assert tokenizer.decode(limit.end, skip_special_tokens=False) == "<|end|><|start|>assistant"


def test_calls_and_results_are_laid_out(server: LiveServer) -> None:
    answering(server, FINAL.removeprefix("<|start|>assistant"))
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 7}'}}
    talk = [
        *ASKED["messages"],
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "seven"},
    ]
    small = {"type": "function", "function": {"name": "f"}}
    assert whole(server, messages=talk, tools=[small])["choices"][0]["message"]["content"] == "Paris < Rome"
    prompt = server.text.tokenizer.decode(server.engine.added[-1].prompt_ids, skip_special_tokens=False)
    assert '<|start|>assistant to=functions.f<|channel|>commentary json<|message|>{"a": 7}<|call|>' in prompt
    assert prompt.endswith("<|message|>seven<|end|><|start|>assistant")


def test_a_conversation_that_the_server_keeps_has_what_was_said(server: LiveServer) -> None:
    answering(server, THOUGHT + FINAL)
    asked = {"prompt": "hi", "session_id": 5, "interactive_mode": True}
    for _ in range(2):
        answer = server.http().post("/v1/chat/interactive", json=asked)
        assert answer.status_code == 200, answer.text
        assert answer.json()["text"] == "Paris < Rome"
    prompt = server.text.tokenizer.decode(server.engine.added[-1].prompt_ids, skip_special_tokens=False)
    assert "<|start|>assistant<|channel|>final<|message|>Paris < Rome<|end|><|start|>user" in prompt
    assert "analysis" not in prompt
