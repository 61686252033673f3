from __future__ import annotations

from typing import Any

import openai
import pytest

from portico.errors import RequestError
from portico.protocol.limits import LIMITS
from portico.protocol.messages import TokenEvent
from portico.protocol.request import TextPrompt, TokenPrompt
from portico.server.doors.openai.completions import read_prompts
from tests.server.fake_engine import say
from tests.server.harness import MODEL, LiveServer


def test_both_names_of_max_tokens(server: LiveServer) -> None:
    """LMDeploy's client sends both, of which one is its default."""
    for fields in ({"max_completion_tokens": 5}, {"max_tokens": 5, "max_completion_tokens": 3}):
        server.http().post("/v1/completions", json={"prompt": "Hello", **fields})
    assert [added.params.max_tokens for added in server.engine.added] == [5, 5]


def test_a_text_is_continued(server: LiveServer) -> None:
    answer = server.openai().completions.create(model=MODEL, prompt="The capital 你好")
    ids = server.text.tokenizer.encode("The capital 你好", add_special_tokens=True)
    assert server.engine.added[0].prompt_ids == ids
    assert server.engine.added[0].params.max_tokens == 16
    assert answer.choices[0].text == "The capital 你好"
    assert (answer.object, answer.id[:5]) == ("text_completion", "cmpl-")
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_prompts_have_consecutive_choices(server: LiveServer, stream: bool) -> None:
    asked: dict[str, Any] = {"model": MODEL, "prompt": ["Hello", "你好", "Paris is"], "n": 2, "stream": stream}
    total = 2 * sum(len(server.text.tokenizer.encode(text, add_special_tokens=True)) for text in asked["prompt"])
    texts = [""] * 6
    if stream:
        reasons = []
        for chunk in server.openai().completions.create(**asked, stream_options={"include_usage": True}):
            usage = chunk.usage
            for choice in chunk.choices:
                texts[choice.index] += choice.text
                reasons += [choice.index] if choice.finish_reason else []
        assert sorted(reasons) == list(range(6))
    else:
        answer = server.openai().completions.create(**asked)
        usage = answer.usage
        assert [choice.index for choice in answer.choices] == list(range(6))
        texts = [choice.text for choice in answer.choices]
    assert texts == ["Hello", "Hello", "你好", "你好", "Paris is", "Paris is"]
    assert usage is not None
    assert (usage.completion_tokens, usage.prompt_tokens) == (total, total // 2)
    assert len({add.request_id for add in server.engine.added}) == 3


def test_token_ids_are_continued_as_they_are(server: LiveServer) -> None:
    server.openai().completions.create(model=MODEL, prompt=[5, 6, 7])
    server.openai().completions.create(model=MODEL, prompt=[[5, 6], [7]])
    assert [add.prompt_ids for add in server.engine.added] == [[5, 6, 7], [5, 6], [7]]


def test_a_failed_prompt_fails_and_cancels_the_whole_request(server: LiveServer) -> None:
    def script(add: Any) -> Any:
        if add.prompt_ids == [6]:
            return [[TokenEvent(add.request_id, 0, [], "error", error="no room")]]
        return say([10] * 10_000, "length")(add)

    server.engine.script = script
    with pytest.raises(openai.InternalServerError, match="no room"):
        server.openai().completions.create(model=MODEL, prompt=[[5], [6], [7]])
    server.engine.wait_for(lambda: not server.engine.running)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("text", [("prompt", TextPrompt("text"))]),
        ([1, 2], [("prompt", TokenPrompt([1, 2]))]),
        (["a"], [("prompt.0", TextPrompt("a"))]),
        (["a", [1]], [("prompt.0", TextPrompt("a")), ("prompt.1", TokenPrompt([1]))]),
    ],
)
def test_kinds_of_prompts(raw: Any, expected: Any) -> None:
    assert read_prompts(raw) == expected


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (None, "prompt"),
        (5, "prompt"),
        ({}, "prompt"),
        ([], "prompt"),
        ([1, "a"], "prompt.1"),
        ([1, True], "prompt.1"),
        ([[1, 2.0]], "prompt.0.1"),
        ([True], "prompt.0"),
        (["a", None], "prompt.1"),
        (["a"] * (LIMITS.entries["texts"] + 1), "prompt"),
    ],
)
def test_what_is_no_prompt_is_named(raw: Any, param: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_prompts(raw)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": ["ok", ""]}, "prompt.1"),
        ({"prompt": [[1], [402]]}, "prompt.1.0"),
        ({"prompt": None}, "prompt"),
        ({"max_tokens": 300}, "max_tokens"),
        ({"echo": 1}, "echo"),
        ({"min_tokens": 9, "max_tokens": 8}, "min_tokens"),
        ({"min_tokens": -1}, "min_tokens"),
        ({"min_tokens": 1, "min_new_tokens": 2}, "min_new_tokens"),
        ({"stop_token_ids": [402]}, "stop_token_ids"),
        ({"stop_token_ids": ["a"]}, "stop_token_ids.0"),
        ({"allowed_token_ids": []}, "allowed_token_ids"),
        ({"allowed_token_ids": [-1]}, "allowed_token_ids"),
        ({"logit_bias": {"5": 101}}, "logit_bias.5"),
        ({"logit_bias": {"402": 1}}, "logit_bias"),
        ({"logit_bias": {"five": 1}}, "logit_bias"),
        ({"bad_words": [" "]}, "bad_words"),
        ({"truncate_prompt_tokens": 0}, "truncate_prompt_tokens"),
        ({"skip_special_tokens": "no"}, "skip_special_tokens"),
        ({"add_special_tokens": 2}, "add_special_tokens"),
        ({"include_stop_str_in_output": "yes"}, "include_stop_str_in_output"),
        ({"logprobs": 21}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"prompt_logprobs": 21}, "prompt_logprobs"),
        ({"prompt_logprobs": 1, "stream": True}, "prompt_logprobs"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"best_of": 1, "n": 2}, "best_of"),
        ({"best_of": 129}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"prompt": ["x"] * 2048, "n": 3}, "n"),
        ({"suffix": "x"}, "suffix"),
        ({"suffix": 5}, "suffix"),
    ],
)
def test_a_wrong_field_is_named(server: LiveServer, change: dict[str, Any], param: str) -> None:
    answer = server.http().post("/v1/completions", json={"model": MODEL, "prompt": "Hello", **change})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert server.engine.added == []
