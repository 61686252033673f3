"""`--compat mlc-chat`: one conversation that the server keeps, told in short events."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from portico.server.doors.mlc.conversation import EVENT_BYTES, short_events
from tests.server.harness import LiveServer, answering

LONG = "Hello, world! 你好,世界!" * 8


def turn(server: LiveServer, *said: str, status: int = 200, **fields: Any) -> Any:
    messages = [{"role": "assistant" if i % 2 else "user", "content": text} for i, text in enumerate(said)]
    with server.http() as http:
        answer = http.post("/v1/chat/completions", json={"model": "vicuna-v1-7b", "messages": messages, **fields})
    assert answer.status_code == status, answer.text
    return answer.json()


def prompt(server: LiveServer, place: int = -1) -> str:
    return server.text.tokenizer.decode(server.engine.added[place].prompt_ids, skip_special_tokens=False)


def test_a_request_is_the_next_turn(mlc_chat: LiveServer) -> None:
    answering(mlc_chat, "Paris.")
    answer = turn(mlc_chat, "The capital of France?")
    assert answer["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "Paris.", "name": None}, "finish_reason": "stop"}
    ]
    assert answer.keys() == {"id", "object", "created", "choices", "usage"}
    assert answer["usage"]["prompt_tokens"] == len(mlc_chat.engine.added[0].prompt_ids)
    turn(mlc_chat, "And of Japan?")
    assert "France" in prompt(mlc_chat)
    assert "Paris." in prompt(mlc_chat)
    with mlc_chat.http() as http:
        assert http.get("/chat/reset").text == "null"
    turn(mlc_chat, "Hello")
    assert "France" not in prompt(mlc_chat)


def test_several_messages_begin_anew(mlc_chat: LiveServer) -> None:
    turn(mlc_chat, "one")
    turn(mlc_chat, "two", "three", "four")
    assert "one" not in prompt(mlc_chat)
    turn(mlc_chat, "five")
    assert all(word in prompt(mlc_chat) for word in ("two", "three", "four", "five"))


@pytest.mark.parametrize("per_step", [1, 1000])
def test_the_loop_that_takes_128_bytes_for_an_event(mlc_chat: LiveServer, per_step: int) -> None:
    answering(mlc_chat, LONG, per_step=per_step)
    said = ""
    payload = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    with requests.post(f"{mlc_chat.url}/v1/chat/completions", json=payload, stream=True, timeout=30) as r:
        for chunk in r:
            said += json.loads(chunk[6:-2])["choices"][0]["delta"].get("content", "")
    assert said == LONG
    turn(mlc_chat, "again")
    assert LONG in prompt(mlc_chat)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_events_are_short_and_lose_nothing(text: str) -> None:
    said = ""
    for event in short_events(text):
        assert len(event) <= EVENT_BYTES
        choice = json.loads(event[6:-2])["choices"][0]
        assert choice["finish_reason"] == "stop"
        assert choice["delta"]["role"] == "assistant"
        said += choice["delta"]["content"]
    assert said == text


def test_completions_are_streamed_without_a_last_word(mlc_chat: LiveServer) -> None:
    with mlc_chat.http() as http:
        text = http.post("/v1/completions", json={"prompt": "Hello", "stream": True, "max_tokens": 3}).text
    chunks = [json.loads(event.removeprefix("data: ")) for event in text.split("\n\n")[:-1]]
    assert all(chunk.keys() == {"choices"} for chunk in chunks)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks)


def test_wishes_reach_the_engine(mlc_chat: LiveServer) -> None:
    turn(mlc_chat, "hi", max_gen_len=3, max_tokens=7, temperature=0.5, stop=["x"], mean_gen_len=128)
    params = mlc_chat.engine.added[0].params
    assert (params.max_tokens, params.temperature) == (7, 0.5)


def test_errors_have_details(mlc_chat: LiveServer) -> None:
    assert turn(mlc_chat, status=422)["detail"][0]["loc"] == ["body", "messages"]
    assert "n is not supported" in turn(mlc_chat, "hi", n=2, status=400)["detail"]
    assert "256" in turn(mlc_chat, "long " * 300, status=400)["detail"]
    assert mlc_chat.engine.added == []
