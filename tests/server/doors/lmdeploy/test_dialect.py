"""What `--compat lmdeploy` does to the routes that it shares with OpenAI."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest

from portico.protocol.messages import TokenEvent
from portico.text.model import TextModel
from tests.server.doors.lmdeploy.test_interactive import answering
from tests.server.harness import MODEL, SETTINGS, LiveServer, portico

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
MESSAGES = [{"role": "user", "content": "x"}]


@pytest.fixture(scope="module")
def lmdeploy(text_model: TextModel) -> Iterator[LiveServer]:
    with portico(text_model, dataclasses.replace(SETTINGS, compat="lmdeploy", api_keys=("key",))) as server:
        yield server


@pytest.fixture(autouse=True)
def answer(lmdeploy: LiveServer) -> None:
    answering(lmdeploy, "one two")
    lmdeploy.engine.added.clear()


def post(server: LiveServer, path: str, key: str = "key", **fields: Any) -> Any:
    with server.http() as http:
        return http.post(path, json={"model": MODEL, **fields}, headers={"authorization": f"Bearer {key}"})


def events(server: LiveServer, path: str, **fields: Any) -> list[Any]:
    *parts, done, end = post(server, path, stream=True, **fields).text.split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    return [json.loads(part.removeprefix("data: ")) for part in parts]


def test_a_message_has_all_its_fields(lmdeploy: LiveServer) -> None:
    choice = post(lmdeploy, CHAT, messages=MESSAGES).json()["choices"][0]
    assert choice["message"] == {
        "role": "assistant",
        "content": "one two",
        "reasoning_content": None,
        "tool_calls": None,
    }


def test_every_delta_has_the_role_and_every_chunk_the_usage(lmdeploy: LiveServer) -> None:
    chunks = events(lmdeploy, CHAT, messages=MESSAGES)
    assert {chunk["choices"][0]["delta"]["role"] for chunk in chunks} == {"assistant"}
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == "one two"
    assert chunks[-1]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    told = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert told == sorted(told)
    whole = post(lmdeploy, CHAT, messages=MESSAGES).json()["usage"]
    assert chunks[-1]["usage"] == {name: whole[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}


def test_completions_tell_their_usage_in_every_chunk_too(lmdeploy: LiveServer) -> None:
    chunks = events(lmdeploy, COMPLETIONS, prompt="x", stream_options={"include_usage": True})
    assert all(chunk["usage"]["prompt_tokens"] == 1 for chunk in chunks)
    assert chunks[-1]["choices"] == []


@pytest.mark.parametrize(
    ("path", "fields", "status", "kind", "param", "message"),
    [
        (
            COMPLETIONS, {"prompt": "x", "model": "error"}, 404, "not_found_error", "model",
            "The model 'error' does not exist.",
        ),
        (
            COMPLETIONS, {"prompt": [5] * 300}, 400, "invalid_request_error", "prompt",
            "Input length (300) must be smaller than the model context length (256).",
        ),
        (
            COMPLETIONS, {"prompt": "x", "key": "wrong"}, 401, "authentication_error", None, "Unauthorized.",
        ),
        (
            CHAT, {"messages": MESSAGES, "top_p": 0}, 400, "invalid_request_error", "top_p",
            "The top_p 0.0 must be in (0, 1].",
        ),
        (
            COMPLETIONS, {"prompt": "x", "n": 0}, 400, "invalid_request_error", "n",
            "The n 0 must be a positive int.",
        ),
        (
            CHAT, {"messages": MESSAGES, "n": 129}, 400, "invalid_request_error", "n",
            "The n 129 exceeds the maximum supported choices (128).",
        ),
        (
            CHAT, {"messages": MESSAGES, "max_tokens": 0}, 400, "invalid_request_error", "max_tokens",
            "max_new_tokens must be at least 1, got 0.",
        ),
        (
            CHAT, {"messages": MESSAGES, "min_p": 2}, 400, "invalid_request_error", "min_p",
            "min_p is 2.0; it must be at least 0 and at most 1.",
        ),
    ],
)  # fmt: skip
def test_errors_are_flat(
    lmdeploy: LiveServer, path: str, fields: dict[str, Any], status: int, kind: str, param: str | None, message: str
) -> None:
    answer = post(lmdeploy, path, **fields)
    assert answer.status_code == status
    assert answer.json() == {"message": message, "type": kind, "code": status, "param": param, "object": "error"}


def test_an_answer_that_does_not_fit_is_told_in_our_words(lmdeploy: LiveServer) -> None:
    assert "max_tokens to 255 or less" in post(lmdeploy, COMPLETIONS, prompt="x", max_tokens=300).json()["message"]


def test_a_failure_in_mid_stream(lmdeploy: LiveServer) -> None:
    lmdeploy.engine.script = lambda add: [[TokenEvent(add.request_id, 0, [], "error", error="no luck")]]
    error = events(lmdeploy, COMPLETIONS, prompt="x")[-1]["error"]
    assert (error["message"], error["code"], error["object"]) == ("no luck", 500, "error")
