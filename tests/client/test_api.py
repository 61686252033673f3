"""The client against a real server, and what it sends."""

from __future__ import annotations

import warnings
from dataclasses import replace

import httpx
import pytest

from portico.client import APIClient, get_model_list, get_streaming_response
from portico.client.api import json_loads
from portico.text.model import TextModel
from tests.server.doors.lmdeploy.test_interactive import answering
from tests.server.harness import MODEL, SETTINGS, LiveServer, portico


@pytest.fixture
def client(server: LiveServer) -> APIClient:
    return APIClient(server.url)


def test_models(server: LiveServer, client: APIClient) -> None:
    assert client.available_models == [MODEL, "alias"]
    assert get_model_list(f"{server.url}/v1/models") == [MODEL, "alias"]


def test_keys(text_model: TextModel) -> None:
    with portico(text_model, replace(SETTINGS, api_keys=("secret",))) as server:
        assert APIClient(server.url, api_key="secret").available_models == [MODEL, "alias"]
        assert APIClient(server.url).available_models is None
        (error,) = APIClient(server.url).completions_v1(MODEL, "x")
        assert error["error"]["code"] == "invalid_api_key"
        with pytest.raises(httpx.HTTPStatusError):
            APIClient(server.url).encode("x")


def test_encode(server: LiveServer, client: APIClient) -> None:
    ids = server.text.tokenizer.encode("Hello", add_special_tokens=True)
    assert client.encode("Hello") == (ids, len(ids))
    assert client.encode(["Hello"]) == ([ids], [len(ids)])


def test_completions_whole_and_streamed(server: LiveServer, client: APIClient) -> None:
    ids = answering(server, "Paris")
    (whole,) = client.completions_v1(model=MODEL, prompt="hi")
    assert whole["choices"][0]["text"] == "Paris"
    params = server.engine.added[0].params
    assert (params.max_tokens, params.temperature, params.top_k, params.top_p) == (16, 0.7, 40, 1.0)
    chunks = list(client.completions_v1(model=MODEL, prompt="hi", stream=True, max_tokens=200, min_p=0.5))
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "Paris"
    assert (server.engine.added[1].params.max_tokens, server.engine.added[1].params.min_p) == (200, 0.5)
    (short,) = client.completions_v1(model=MODEL, prompt="hi", max_completion_tokens=len(ids) + 1, max_tokens=1)
    assert short["choices"][0]["text"] == "Paris"


def test_chat_whole_and_streamed(server: LiveServer, client: APIClient) -> None:
    answering(server, "Paris")
    messages = [{"role": "user", "content": "Say this is a test!"}]
    (whole,) = client.chat_completions_v1(model=MODEL, messages=messages)
    assert whole["choices"][0]["message"]["content"] == "Paris"
    assert server.engine.added[0].params.temperature == 0.7
    chunks = list(client.chat_completions_v1(model=MODEL, messages=messages, stream=True, session_id=5, seed=3))
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "Paris"
    assert server.engine.added[1].params.seed == 3


def test_a_conversation(server: LiveServer, client: APIClient) -> None:
    answering(server, "Paris")
    list(client.end_session(3))
    (first,) = client.chat_interactive_v1("hi", session_id=3, interactive_mode=True)
    assert (first["text"], first["history_tokens"], first["finish_reason"]) == ("Paris", 0, "stop")
    *pieces, last = client.chat("hi", session_id=3, request_output_len=50, stream=True)
    assert "".join(text for text, _, _ in pieces) == "Paris"
    assert last == ("", first["tokens"], "stop")
    (answer,) = client.chat_interactive_v1("hi", session_id=3, interactive_mode=True)
    assert answer["history_tokens"] > first["tokens"]
    assert client.cancel(3)["finish_reason"] == "stop"
    with pytest.raises(ValueError, match="session_id is -1"):
        next(client.chat("hi", session_id=-1))


def test_the_function_of_older_clients(server: LiveServer) -> None:
    answering(server, "Paris")
    url = f"{server.url}/v1/chat/interactive"
    *pieces, last = get_streaming_response("hi", url, session_id=4, request_output_len=9)
    assert "".join(text for text, _, _ in pieces) == "Paris"
    assert last[2] == "stop"
    assert server.engine.added[0].params.max_tokens == 9


def test_an_error_is_one_dictionary(client: APIClient) -> None:
    (error,) = client.chat_interactive_v1("hi", top_p=3.0, stream=True)
    assert (error["object"], error["code"]) == ("error", 400)


def test_what_is_no_json_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="not JSON"):
        assert json_loads("<html>") == ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert json_loads("[1]") == [1]
