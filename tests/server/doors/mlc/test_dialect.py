"""OpenAI's routes with `--compat mlc`."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.server.fake_engine import say
from tests.server.harness import LiveServer, answering

PATH = "/v1/chat/completions"
HELLO: list[Any] = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
CALL = '<tool_call>\n{"name": "f", "arguments": {"city": "Rome", "days": 2}}\n</tool_call>'
NOTHING = {"name": None, "tool_calls": None, "tool_call_id": None}


def post(server: LiveServer, path: str = PATH, key: str = "key", **body: Any) -> Any:
    with server.http() as http:
        return http.post(path, json=body, headers={"authorization": f"Bearer {key}"})


def events(server: LiveServer, **body: Any) -> list[Any]:
    """The chunks of a stream, which [DONE] must end."""
    *chunks, done, rest = post(server, stream=True, **body).text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(chunk.removeprefix("data: ")) for chunk in chunks]


def test_every_delta_has_a_role_and_a_text(mlc: LiveServer) -> None:
    answering(mlc, "Hello, world!")
    chunks = events(mlc, messages=HELLO, model="whatever you like", n=2, stream_options={"include_usage": True})
    *said, usage = chunks
    assert all(choice["delta"].keys() == {"role", "content", *NOTHING} for c in said for choice in c["choices"])
    assert all(choice["delta"]["role"] == "assistant" for chunk in said for choice in chunk["choices"])
    for number in (0, 1):
        mine = [chunk["choices"][0] for chunk in said if chunk["choices"][0]["index"] == number]
        assert "".join(choice["delta"]["content"] for choice in mine) == "Hello, world!"
        assert mine[0]["delta"]["content"]
        assert [choice["finish_reason"] for choice in mine] == [None] * (len(mine) - 1) + ["stop"]
    assert {chunk["model"] for chunk in chunks} == {"whatever you like"}
    assert all(chunk["usage"] is None for chunk in said)
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] > 0
    assert usage["usage"]["extra"] is None


def test_a_whole_message_has_all_fields(mlc: LiveServer) -> None:
    answering(mlc, "Hello!")
    answer = post(mlc, messages=HELLO).json()
    assert NOTHING.items() <= answer["choices"][0]["message"].items()
    assert answer["choices"][0]["message"]["content"] == "Hello!"
    assert answer["usage"]["extra"] is None


def test_arguments_are_an_object(mlc: LiveServer) -> None:
    answering(mlc, CALL)
    choice = post(mlc, messages=HELLO, tools=[TOOL]).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": {"city": "Rome", "days": 2}}


def test_arguments_that_were_cut_off_stay_text(mlc: LiveServer) -> None:
    text = CALL[: CALL.index(', "days"')]
    mlc.engine.script = say(mlc.text.tokenizer.encode(text, add_special_tokens=False), "length")
    choice = post(mlc, messages=HELLO, tools=[TOOL], tool_choice={"type": "function", "function": {"name": "f"}})
    (call,) = choice.json()["choices"][0]["message"]["tool_calls"]
    assert call["function"]["arguments"] == '{"city": "Rome"'


def test_with_tools_an_answer_that_calls_nothing_is_an_error(mlc: LiveServer) -> None:
    answering(mlc, "No.")
    choice = post(mlc, messages=HELLO, tools=[TOOL]).json()["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("error", "No.")
    assert post(mlc, messages=HELLO, tools=[TOOL], tool_choice="none").json()["choices"][0]["finish_reason"] == "stop"


def test_a_stream_tells_calls_as_the_model_writes_them(mlc: LiveServer) -> None:
    answering(mlc, CALL)
    chunks = events(mlc, messages=HELLO, tools=[TOOL])
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == CALL
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_completion_has_what_is_left_of_the_context(mlc: LiveServer) -> None:
    post(mlc, "/v1/completions", prompt="Hello")
    (add,) = mlc.engine.added
    assert add.params.max_tokens == 256 - len(add.prompt_ids)
    chunks = events(mlc, messages=HELLO)
    assert chunks


@pytest.mark.parametrize(
    ("body", "where"),
    [({"messages": 5}, ["body", "messages"]), ({"messages": HELLO, "top_p": 3.0}, ["body", "top_p"])],
)
def test_a_wrong_field_is_a_detail(mlc: LiveServer, body: Any, where: list[str]) -> None:
    answer = post(mlc, **body)
    assert answer.status_code == 422
    (detail,) = answer.json()["detail"]
    assert detail["loc"] == where
    assert where[-1] in detail["msg"]


@pytest.mark.parametrize("stream", [True, False])
def test_what_cannot_be_honoured_is_encoded_twice(mlc: LiveServer, stream: bool) -> None:
    answer = post(mlc, messages=[{"role": "user", "content": "long " * 300}], stream=stream)
    assert answer.status_code == 400
    error = json.loads(answer.json())
    assert error.keys() == {"object", "message", "code"}
    assert (error["object"], error["code"]) == ("error", 400)
    assert "256" in error["message"]


def test_other_errors(mlc: LiveServer) -> None:
    answer = post(mlc, key="wrong", messages=HELLO)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid API Key"})
    answer = post(mlc, "/v1/nothing")
    assert answer.status_code == 404
    assert "/v1/nothing" in answer.json()["detail"]


def test_a_schema_may_be_a_string(mlc: LiveServer) -> None:
    schema = json.dumps({"type": "object", "properties": {"a": {"type": "integer"}}})
    post(mlc, messages=HELLO, response_format={"type": "json_object", "schema": schema})
    (add,) = mlc.engine.added
    assert add.params.grammar is not None
    assert "integer" in add.params.grammar.text


def test_debug_config_goes_on_after_every_end(mlc: LiveServer) -> None:
    body = {"messages": HELLO, "max_tokens": 5, "stop": ["u"], "stop_token_ids": [7]}
    answer = post(mlc, **body, debug_config={"ignore_eos": True, "grammar_execution_mode": "constraint"})
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    assert mlc.engine.added[0].params.stop_token_ids == ()
    assert post(mlc, **body).json()["choices"][0]["finish_reason"] == "stop"
    refused = post(mlc, **body, debug_config={"pinned_system_prompt": True})
    assert refused.status_code == 400
    assert "debug_config.pinned_system_prompt is not supported" in json.loads(refused.json())["message"]


def test_openais_client_reads_it_too(mlc: LiveServer) -> None:
    answering(mlc, "Hello, world!")
    client = mlc.openai("key")
    chunks = list(client.chat.completions.create(model="any", messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Hello, world!"
    with client.chat.completions.stream(model="any", messages=HELLO) as stream:
        assert stream.get_final_completion().choices[0].message.content == "Hello, world!"
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.chat.completions.create(model="any", messages=HELLO, temperature=9)
    assert "temperature is 9" in caught.value.response.text
