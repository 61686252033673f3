"""Chats without the chat template, and the tokens of an answer."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from portico.protocol.messages import TokenEvent, TokenLogprobs
from portico.text.model import TextModel
from tests.server.doors.lmdeploy.test_interactive import EOS, answering, prompt_text
from tests.server.harness import MODEL, SETTINGS, LiveServer, portico

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
MESSAGES: list[Any] = [{"role": "user", "content": "one"}]


def post(server: LiveServer, path: str = CHAT, **fields: Any) -> Any:
    with server.http() as http:
        return http.post(path, json={"model": MODEL, **fields})


def test_a_text_in_place_of_messages(server: LiveServer) -> None:
    answering(server, "three")
    answer = post(server, messages="one two").json()
    assert prompt_text(server) == "one two"
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"] == "three"


def test_messages_without_the_template(server: LiveServer) -> None:
    parts = {"role": "user", "content": [{"type": "text", "text": " two"}]}
    post(server, messages=[*MESSAGES, parts], do_preprocess=False)
    assert prompt_text(server) == "one two"
    post(server, messages=MESSAGES, do_preprocess=True)
    assert prompt_text(server).startswith("<|im_start|>user\none")


def test_tokens_in_place_of_messages(server: LiveServer) -> None:
    for empty in ([], ""):
        assert post(server, messages=empty, input_ids=[5, 6, 7]).status_code == 200
        assert server.engine.added[-1].prompt_ids == [5, 6, 7]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [], "do_preprocess": False}, "messages"),
        ({"messages": ""}, "messages"),
        ({"messages": MESSAGES, "input_ids": [5]}, "input_ids"),
        ({"messages": [], "input_ids": []}, "input_ids"),
        ({"messages": [], "input_ids": [9999]}, "input_ids.0"),
        ({"messages": "one", "chat_template_kwargs": {"x": 1}}, "chat_template_kwargs"),
        ({"messages": "one", "documents": [{"text": "x"}]}, "documents"),
        ({"messages": "one", "continue_final_message": True}, "continue_final_message"),
        ({"messages": "one", "tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}], "do_preprocess": False},
         "messages.0.content.0.type"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(server: LiveServer, fields: dict[str, Any], param: str) -> None:
    answer = post(server, **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_the_tokens_of_prompt_and_answer(server: LiveServer) -> None:
    ids = answering(server, "one two")
    chat = post(server, messages=MESSAGES, return_token_ids=True).json()
    assert chat["prompt_token_ids"] == server.engine.added[0].prompt_ids
    assert chat["choices"][0]["token_ids"] == chat["choices"][0]["output_ids"] == ids
    (choice,) = post(server, COMPLETIONS, prompt=[5, 6], return_token_ids=True).json()["choices"]
    assert (choice["prompt_token_ids"], choice["token_ids"]) == ([5, 6], ids)
    assert "token_ids" not in post(server, COMPLETIONS, prompt=[5, 6]).json()["choices"][0]


def test_each_choice_has_its_own(server: LiveServer) -> None:
    choices = post(server, COMPLETIONS, prompt=[[5, 6, 7], [8, 9]], n=2, return_token_ids=True).json()["choices"]
    assert [choice["prompt_token_ids"] for choice in choices] == [[5, 6, 7]] * 2 + [[8, 9]] * 2
    assert [choice["token_ids"][:2] for choice in choices] == [[5, 6]] * 2 + [[8, 9]] * 2


def test_the_tokens_of_a_stream(server: LiveServer) -> None:
    ids = answering(server, "one two")
    client = server.openai()
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, extra_body={"return_token_ids": True}
        )
    )
    assert chunks[0].model_extra is not None
    assert chunks[0].model_extra["prompt_token_ids"] == server.engine.added[0].prompt_ids
    told = [getattr(chunk.choices[0], "token_ids") for chunk in chunks]  # noqa: B009 - not of its type
    assert [token for part in told for token in part] == ids
    pieces = list(
        client.completions.create(model=MODEL, prompt=[5, 6], stream=True, extra_body={"return_token_ids": True})
    )
    prompts = [(piece.choices[0].model_extra or {}).get("prompt_token_ids") for piece in pieces]
    assert prompts == [[5, 6], *[None] * (len(pieces) - 1)]
    assert EOS in (pieces[-1].choices[0].model_extra or {})["token_ids"]


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_the_usage_so_far(server: LiveServer, path: str) -> None:
    ids = answering(server, "one two")
    client = server.openai()
    options: Any = {"include_usage": True, "continuous_usage_stats": True}
    asked: Any = {"model": MODEL, "stream": True, "stream_options": options}
    chunks: list[Any] = list(
        client.chat.completions.create(messages=MESSAGES, **asked)
        if path == CHAT
        else client.completions.create(prompt="x", **asked)
    )
    told = [chunk.usage.completion_tokens for chunk in chunks]
    assert told == sorted(told)
    assert told[-1] == len(ids)
    assert chunks[-1].choices == []
    assert {chunk.usage.prompt_tokens for chunk in chunks} == {len(server.engine.added[0].prompt_ids)}
    options["include_usage"] = False
    assert "usage" not in post(server, path, messages=MESSAGES, prompt="x", stream=True, stream_options=options).text


def test_a_server_may_tell_the_usage_always_and_name_tokens_by_ids(text_model: TextModel) -> None:
    settings = dataclasses.replace(SETTINGS, always_usage=True, tokens_as_ids=True, response_role="bot")
    with portico(text_model, settings) as server:
        answering(server, "one two")
        assert '"choices":[],"usage":{' in post(server, messages=MESSAGES, stream=True).text
        assert post(server, messages=MESSAGES).json()["choices"][0]["message"]["role"] == "bot"
        score = TokenLogprobs(-0.5, 1, [], [])
        server.engine.script = lambda add: [[TokenEvent(add.request_id, 0, [40], "length", logprobs=[score])]]
        asked: dict[str, Any] = {"prompt": "x", "logprobs": 0, "max_tokens": 1}
        assert post(server, COMPLETIONS, **asked).json()["choices"][0]["logprobs"]["tokens"] == ["token_id:40"]
        asked["return_tokens_as_token_ids"] = False
        assert post(server, COMPLETIONS, **asked).json()["choices"][0]["logprobs"]["tokens"] != ["token_id:40"]
