from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from portico.protocol.messages import TokenEvent
from portico.text.model import TextModel
from tests.server.doors.lmdeploy.test_interactive import answering, prompt_text
from tests.server.fake_engine import LOADED
from tests.server.harness import MODEL, SETTINGS, LiveServer, portico

QUESTION = "告诉我中国的首都在哪里"
LAID_OUT = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"


@pytest.fixture(scope="module")
def alpaca(text_model: TextModel) -> Iterator[LiveServer]:
    with portico(text_model, dataclasses.replace(SETTINGS, compat="alpaca")) as server:
        server.engine.limits = msgspec.structs.replace(LOADED, max_model_len=1024, num_blocks=1024)
        yield server


@pytest.fixture(autouse=True)
def answer(alpaca: LiveServer) -> None:
    answering(alpaca, "one two")
    alpaca.engine.added.clear()


def post(server: LiveServer, path: str, **fields: Any) -> Any:
    with server.http() as http:
        return http.post(path, json={"model": MODEL, **fields})


def events(server: LiveServer, path: str, **fields: Any) -> list[Any]:
    *parts, done, end = post(server, path, stream=True, **fields).text.split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    return [json.loads(part.removeprefix("data: ")) for part in parts]


def test_the_prompt_of_a_completion_is_an_instruction(alpaca: LiveServer) -> None:
    answer = post(alpaca, COMPLETIONS, prompt=QUESTION).json()
    assert prompt_text(alpaca) == LAID_OUT
    assert answer.keys() == {"id", "object", "created", "model", "choices", "usage"}
    assert answer["id"].startswith("cmpl-")
    assert answer["object"] == "text_completion"
    assert answer["choices"] == [{"index": 0, "text": "one two", "finish_reason": "stop"}]
    assert answer["usage"].keys() == {"prompt_tokens", "completion_tokens", "total_tokens"}


def test_a_chat(alpaca: LiveServer) -> None:
    answer = post(alpaca, CHAT, messages=[{"role": "user", "content": QUESTION}]).json()
    assert prompt_text(alpaca) == LAID_OUT
    assert answer["id"].startswith("cmpl-")
    assert answer["object"] == "chat.completion"
    message = {"role": "assistant", "content": "one two"}
    assert answer["choices"] == [{"index": 0, "message": message, "finish_reason": "stop"}]


def test_messages_as_a_text_are_read_as_they_are(alpaca: LiveServer) -> None:
    post(alpaca, CHAT, messages="one two")
    assert prompt_text(alpaca) == "one two"


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_its_defaults(alpaca: LiveServer, path: str) -> None:
    prompt: dict[str, Any] = {"prompt": "x", "messages": [{"role": "user", "content": "x"}]}
    post(alpaca, path, **prompt)
    params = alpaca.engine.added[0].params
    assert (params.temperature, params.top_p, params.top_k, params.max_tokens) == (0.2, 0.9, 40, 512)
    post(alpaca, path, **prompt, temperature=1, top_p=0.5, top_k=3, max_tokens=90)
    params = alpaca.engine.added[1].params
    assert (params.temperature, params.top_p, params.top_k, params.max_tokens) == (1, 0.5, 3, 90)


def test_beams_by_both_of_its_names(alpaca: LiveServer) -> None:
    for fields in ({"num_beams": 4}, {"use_beam_search": True, "best_of": 4}):
        post(alpaca, COMPLETIONS, prompt="x", **fields)
        beams = alpaca.engine.added[-1].params.beams
        assert beams is not None
        assert beams.width == 4


def test_a_stream_of_a_chat_has_the_role_alone_and_an_empty_text_at_the_end(alpaca: LiveServer) -> None:
    first, *middle, last = events(alpaca, CHAT, messages=[{"role": "user", "content": "x"}])
    assert first["choices"] == [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}]
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in middle) == "one two"
    assert last["choices"] == [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]
    assert not any("usage" in chunk for chunk in (first, *middle, last))
    assert {chunk["id"] for chunk in (first, *middle, last)} == {first["id"]}
    assert first["id"].startswith("cmpl-")


def test_a_stream_of_a_completion(alpaca: LiveServer) -> None:
    chunks = events(alpaca, COMPLETIONS, prompt="x")
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "one two"
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("path", "fields", "status", "words"),
    [
        (COMPLETIONS, {"prompt": "x", "model": "gpt"}, 404, "does not exist"),
        (COMPLETIONS, {"prompt": "x", "echo": True}, 400, "echo is not currently supported"),
        (COMPLETIONS, {"prompt": "x", "suffix": "y"}, 400, "suffix is not currently supported"),
        (COMPLETIONS, {"prompt": "x", "temperature": 3}, 400, "temperature"),
        (CHAT, {"messages": [{"role": "user", "content": "x" * 3000}]}, 400, "maximum context length is 1024"),
    ],
)
def test_errors_are_flat(alpaca: LiveServer, path: str, fields: dict[str, Any], status: int, words: str) -> None:
    answer = post(alpaca, path, **fields)
    error = answer.json()
    assert answer.status_code == status
    assert error.pop("message").count(words) == 1
    assert error == {"object": "error", "type": "invalid_request_error", "param": None, "code": None}


def test_a_failure_in_mid_stream(alpaca: LiveServer) -> None:
    alpaca.engine.script = lambda add: [[TokenEvent(add.request_id, 0, [], "error", error="no luck")]]
    assert events(alpaca, COMPLETIONS, prompt="x")[-1]["error"]["message"] == "no luck"
