from __future__ import annotations

import json
from typing import Any

import pytest

from portico.protocol.messages import Add, TokenEvent, TokenLogprobs
from tests.server.doors.lmdeploy.test_interactive import ZEROS, answering, held, turn
from tests.server.fake_engine import Gate, say
from tests.server.harness import LiveServer

PATH = "/generate"


def generate(server: LiveServer, **fields: Any) -> dict[str, Any]:
    with server.http() as http:
        answer: dict[str, Any] = http.post(PATH, json=fields).json()
    return answer


def test_a_prompt_is_continued_as_it_is(server: LiveServer) -> None:
    ids = answering(server, "Paris 😀")
    answer = generate(server, prompt="The capital of France is", model="ignored")
    asked = server.text.tokenizer.encode("The capital of France is", add_special_tokens=True)
    assert server.engine.added[0].prompt_ids == asked
    assert server.engine.added[0].params.max_tokens == 128
    assert answer == {
        "text": "Paris 😀",
        "output_ids": ids,
        "meta_info": {
            "prompt_tokens": len(asked),
            "completion_tokens": len(ids),
            "finish_reason": {"type": "stop"},
            "output_token_logprobs": None,
        },
    }


def test_a_stream_gives_the_same_in_pieces(server: LiveServer) -> None:
    ids = answering(server, "Paris 😀")
    whole = generate(server, input_ids=[5, 6, 7])
    with server.http() as http:
        text = http.post(PATH, json={"input_ids": [5, 6, 7], "stream": True}).text
    assert server.engine.added[0].prompt_ids == [5, 6, 7]
    *events, done, end = text.split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    pieces = [json.loads(event.removeprefix("data: ")) for event in events]
    assert "".join(piece["text"] for piece in pieces) == whole["text"]
    assert [token for piece in pieces for token in piece["output_ids"]] == ids
    assert pieces[-1]["meta_info"] == whole["meta_info"]
    assert [piece["meta_info"]["finish_reason"] for piece in pieces[:-1]] == [None] * (len(pieces) - 1)


def test_log_probabilities(server: LiveServer) -> None:
    def script(add: Add) -> list[list[TokenEvent]]:
        told = [TokenLogprobs(-0.5, 1, [], [])]
        return [
            [TokenEvent(add.request_id, 0, [token], last, logprobs=told)]
            for token, last in ((40, None), (41, "length"))
        ]

    server.engine.script = script
    meta = generate(server, prompt="x", max_tokens=2, return_logprob=True)["meta_info"]
    assert server.engine.added[0].params.logprobs == 0
    assert meta["output_token_logprobs"] == [[-0.5, 40], [-0.5, 41]]
    assert meta["finish_reason"] == {"type": "length"}


def test_every_parameter_reaches_the_engine(server: LiveServer) -> None:
    generate(
        server,
        prompt="x",
        max_tokens=3,
        temperature=0.5,
        top_p=0.25,
        top_k=4,
        min_p=0.125,
        repetition_penalty=1.5,
        stop_token_ids=[9],
        ignore_eos=True,
    )
    params = server.engine.added[0].params
    assert (params.max_tokens, params.temperature, params.top_p, params.top_k) == (3, 0.5, 0.25, 4)
    assert (params.min_p, params.repetition_penalty, params.stop_token_ids) == (0.125, 1.5, (9,))


def test_the_text_that_stopped_it_can_be_kept(server: LiveServer) -> None:
    answering(server, "one two three")
    assert generate(server, prompt="x", stop=" tw")["text"] == "one"
    assert generate(server, prompt="x", stop=" tw", include_stop_str_in_output=True)["text"] == "one tw"


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({}, "prompt", "You must specify exactly one of prompt or input_ids"),
        ({"prompt": "x", "input_ids": [1]}, "prompt", "You must specify exactly one of prompt or input_ids"),
        ({"prompt": ""}, "prompt", "The prompt must not be an empty string"),
        ({"input_ids": []}, "input_ids", "The input_ids must not be an empty list"),
        ({"prompt": "x", "max_tokens": 0}, "max_tokens", "The max_tokens 0 must be a positive integer."),
        ({"prompt": "x", "top_k": -1}, "top_k", "The top_k -1 cannot be a negative integer."),
        ({"prompt": "x", "image_data": "x"}, "image_data", "image_data is not supported by this server; leave it out."),
        (
            {"prompt": "x", "repetition_ngram_size": 2},
            "repetition_ngram_size",
            "repetition_ngram_size is not supported by this server; leave it out.",
        ),
    ],
)
def test_what_cannot_be_honoured(server: LiveServer, fields: dict[str, Any], param: str, message: str) -> None:
    answer = generate(server, **fields)
    assert answer == {
        "message": message,
        "type": "invalid_request_error",
        "code": 400,
        "param": param,
        "object": "error",
    }


def test_a_failure_in_mid_stream(server: LiveServer) -> None:
    server.engine.script = lambda add: [
        [TokenEvent(add.request_id, 0, [40])],
        [TokenEvent(add.request_id, 0, [], "error", error="no luck")],
    ]
    with server.http() as http:
        events = http.post(PATH, json={"prompt": "x", "stream": True}).text.split("\n\n")
    assert json.loads(events[-3].removeprefix("data: "))["error"]["message"] == "no luck"
    assert events[-2] == "data: [DONE]"


def test_it_is_cancelled_by_its_session_id(server: LiveServer) -> None:
    gate = Gate()
    held(server, gate, "one", " two")
    body = {"prompt": "x", "session_id": 5, "stream": True}
    with server.http() as http, http.stream("POST", PATH, json=body) as response:
        lines = (line for line in response.iter_lines() if line)
        next(lines)
        assert gate.reached.wait(20)
        assert turn(server, "", cancel=True, session_id=5) == ZEROS
        gate.open()
        *_, last, _ = lines
    assert json.loads(last.removeprefix("data: "))["meta_info"]["finish_reason"] == {"type": "stop"}
    server.engine.script = say([40, 2])
    assert generate(server, prompt="x", session_id=5)["output_ids"] == [40, 2]
