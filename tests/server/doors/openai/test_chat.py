from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest

from portico.protocol.messages import TokenEvent
from portico.text.model import TextModel
from tests.server.harness import MODEL, LiveServer, answering, portico
from tests.text.folders import CHATML, write_folder

HELLO: list[Any] = [{"role": "user", "content": "Hello 你好"}]
RENDERED = "<|im_start|>user\nHello 你好<|im_end|>\n<|im_start|>assistant\n"


def test_an_answer(server: LiveServer) -> None:
    ids = answering(server, "Paris 😀")
    answer = server.openai().chat.completions.create(model=MODEL, messages=HELLO)
    choice = answer.choices[0]
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", "Paris 😀", "stop")
    assert answer.id.startswith("chatcmpl-")
    assert (answer.object, answer.model) == ("chat.completion", MODEL)
    added = server.engine.added[0]
    assert added.prompt_ids == server.text.tokenizer.encode(RENDERED, add_special_tokens=False)
    assert added.params.max_tokens == 256 - len(added.prompt_ids)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (len(added.prompt_ids), len(ids) + 1)
    assert answer.usage.total_tokens == len(added.prompt_ids) + len(ids) + 1
    assert server.engine.cancelled == []


def test_every_honoured_parameter_reaches_the_engine(server: LiveServer) -> None:
    server.openai().chat.completions.create(
        model="alias",
        messages=HELLO,
        max_completion_tokens=7,
        temperature=0.5,
        top_p=0.9,
        seed=-1,
        n=2,
        presence_penalty=0.25,
        frequency_penalty=-0.5,
        user="somebody",
        metadata={"a": "b"},
        extra_body={"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.2, "ignore_eos": True},
    )
    added = server.engine.added[0]
    params = added.params
    assert (added.n, params.max_tokens, params.temperature, params.top_p) == (2, 7, 0.5, 0.9)
    assert (params.seed, params.top_k, params.min_p) == (2**64 - 1, 5, 0.1)
    assert (params.presence_penalty, params.frequency_penalty) == (0.25, -0.5)
    assert (params.repetition_penalty, params.stop_token_ids) == (1.2, ())


def test_a_stream(server: LiveServer) -> None:
    answering(server, "Paris 东京 😀 é", "length")
    stream = server.openai().chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[0].choices[0].delta.content == ""
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "Paris 东京 😀 é"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["length"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert {(chunk.id, chunk.model, chunk.object) for chunk in chunks} == {
        (chunks[0].id, MODEL, "chat.completion.chunk")
    }


async def test_the_async_client_gets_the_same(server: LiveServer) -> None:
    answering(server, "Paris 东京")
    async with server.async_openai() as client:
        whole = await client.chat.completions.create(model=MODEL, messages=HELLO)
        stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(pieces) == whole.choices[0].message.content == "Paris 东京"


@pytest.mark.parametrize("stream", [False, True])
def test_choices_are_kept_apart(server: LiveServer, stream: bool) -> None:
    encode = server.text.tokenizer.encode

    def script(add: Any) -> Any:
        texts = [encode(text, add_special_tokens=False) for text in ("the capital", "hello", "你好")]
        for place in range(max(map(len, texts)) + 1):
            yield [
                TokenEvent(add.request_id, choice, ids[place : place + 1], "stop" if place == len(ids) else None)
                for choice, ids in enumerate(texts)
                if place <= len(ids)
            ]

    server.engine.script = script
    if stream:
        texts = ["", "", ""]
        for chunk in server.openai().chat.completions.create(model=MODEL, messages=HELLO, n=3, stream=True):
            texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    else:
        answer = server.openai().chat.completions.create(model=MODEL, messages=HELLO, n=3)
        assert [choice.index for choice in answer.choices] == [0, 1, 2]
        texts = [choice.message.content or "" for choice in answer.choices]
    assert texts == ["the capital", "hello", "你好"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_is_cut_and_the_engine_told(server: LiveServer, stream: bool) -> None:
    answering(server, "one two three four", "length")
    asked: dict[str, Any] = {"model": MODEL, "messages": HELLO, "stop": [" thr", "zzz"], "stream": stream}
    answer = server.openai().chat.completions.create(**asked)
    if stream:
        chunks = list(answer)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        reason = chunks[-1].choices[0].finish_reason
    else:
        text, reason = answer.choices[0].message.content, answer.choices[0].finish_reason
    assert (text, reason) == ("one two", "stop")
    assert (server.engine.added[0].request_id, 0) in server.engine.cancelled


def test_tool_messages_reach_the_template(tmp_path: Path) -> None:
    """This template adds strings, so that for it a message without content has an empty one."""
    calls = "{% for call in message.tool_calls or [] %}{{ call.function | tojson }}{% endfor %}"
    folder = write_folder(tmp_path, template=CHATML.replace("{% endfor %}", calls + "{% endfor %}", 1))
    messages: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": "We"}, {"type": "text", "text": "ather?"}]},
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
    ]  # fmt: skip
    with portico(TextModel.load(folder)) as server:
        for content in ("", None):
            messages[1]["content"] = content
            server.openai().chat.completions.create(model=MODEL, messages=messages)
        first, second = (add.prompt_ids for add in server.engine.added)
        prompt = server.text.tokenizer.decode(first, skip_special_tokens=False)
    assert first == second
    assert "user\nWeather?<|im_end|>" in prompt
    assert '{"name": "weather", "arguments": {}}' in prompt
    assert "tool\nsunny<|im_end|>" in prompt


def test_a_failure_in_mid_stream_is_raised_by_the_client(server: LiveServer) -> None:
    def script(add: Any) -> Any:
        yield [TokenEvent(add.request_id, 0, server.text.tokenizer.encode("Paris", add_special_tokens=False))]
        yield [TokenEvent(add.request_id, 0, [], "error", error="the engine process was killed by signal 9")]

    server.engine.script = script
    pieces = []

    def read() -> None:
        for chunk in server.openai().chat.completions.create(model=MODEL, messages=HELLO, stream=True):
            pieces.append(chunk.choices[0].delta.content)  # noqa: PERF401 - what came before the error is kept

    with pytest.raises(openai.APIError, match="killed by signal 9") as caught:
        read()
    assert "".join(piece or "" for piece in pieces) == "Paris"
    assert caught.value.body == {
        "message": "the engine process was killed by signal 9",
        "type": "server_error",
        "param": None,
        "code": "engine_error",
    }
    with pytest.raises(openai.InternalServerError, match="killed by signal 9"):
        server.openai().chat.completions.create(model=MODEL, messages=HELLO)


@pytest.mark.parametrize("stream", [False, True])
def test_a_crash_of_ours_tells_nothing_of_its_inside(server: LiveServer, stream: bool) -> None:
    server.engine.script = lambda add: [ZeroDivisionError("at 0x7f00deadbeef")]
    body = {"model": MODEL, "messages": HELLO, "stream": stream}
    answer = server.http().post("/v1/chat/completions", json=body)
    assert answer.status_code == (200 if stream else 500)
    assert "deadbeef" not in answer.text
    assert '"code":"internal_error"' in answer.text
    assert answer.text.endswith("data: [DONE]\n\n") == stream


def test_the_bytes_of_a_stream(server: LiveServer) -> None:
    ids = answering(server, 'é\u2028\n"', "length")
    body = {"model": MODEL, "messages": HELLO, "stream": True}
    with server.http().stream("POST", "/v1/chat/completions", json=body) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "no-store" in answer.headers["cache-control"]
    assert "no-cache" in answer.headers["cache-control"]
    assert answer.headers["x-accel-buffering"] == "no"
    events = raw.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert "é" in raw.decode()
    assert b"\\u00e9" not in raw
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == 'é\u2028\n"'
    assert len(chunks) <= len(ids) + 2
    assert all("usage" not in chunk for chunk in chunks)
    assert all(chunk["id"] == answer.headers["x-request-id"] for chunk in chunks)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": ["bare"]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content.0.type"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"max_completion_tokens": 10_000}, "max_completion_tokens"),
        ({"max_tokens": 10_000}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": 10**30}, "n"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a", 5]}, "stop.1"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"metadata": "x"}, "metadata"),
        ({"seed": 2**70}, "seed"),
        ({"top_p": 0}, "top_p"),
    ],
)
def test_a_wrong_field_is_named(server: LiveServer, change: dict[str, Any], param: str) -> None:
    answer = server.http().post("/v1/chat/completions", json={"model": MODEL, "messages": HELLO, **change})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert server.engine.added == []


def test_a_missing_field_is_named(server: LiveServer) -> None:
    answer = server.http().post("/v1/chat/completions", json={"model": MODEL})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "messages")


def test_a_conversation_longer_than_the_context(server: LiveServer) -> None:
    with pytest.raises(openai.BadRequestError, match="maximum context length is 256 tokens") as caught:
        server.openai().chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 400}])
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")


def test_an_unknown_model_names_the_ones_there_are(server: LiveServer) -> None:
    with pytest.raises(openai.NotFoundError, match="'org/tiny', 'alias'") as caught:
        server.openai().chat.completions.create(model="gpt-9", messages=HELLO)
    assert caught.value.code == "model_not_found"
    server.openai().chat.completions.create(model="alias", messages=HELLO)
