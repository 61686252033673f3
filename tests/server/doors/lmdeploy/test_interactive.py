from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from portico.errors import RequestError
from portico.protocol.messages import Add, TokenEvent
from portico.server.sessions.history import Key
from portico.server.sessions.memory import MemoryStore
from portico.server.sessions.sessions import Sessions
from portico.server.sessions.store import SessionLimits
from portico.text.model import TextModel
from tests.server.fake_engine import Gate, say
from tests.server.harness import SETTINGS, LiveServer, portico

PATH = "/v1/chat/interactive"
EOS = 2
ZEROS = {"text": "", "tokens": 0, "input_tokens": 0, "history_tokens": 0, "finish_reason": "stop"}


def answering(server: LiveServer, text: str) -> list[int]:
    """The engine says this and ends, as the real one does, with a token of its own."""
    ids = server.text.tokenizer.encode(text, add_special_tokens=False)
    server.engine.script = lambda add: [*said(add, ids), ended(add)]
    return [*ids, EOS]


def said(add: Add, token_ids: list[int]) -> list[list[TokenEvent]]:
    """Tokens after which more may come."""
    return [[TokenEvent(add.request_id, 0, [token_id])] for token_id in token_ids]


def ended(add: Add) -> list[TokenEvent]:
    """The end that the model draws."""
    return [TokenEvent(add.request_id, 0, [EOS], "stop")]


def turn(server: LiveServer, prompt: Any = "Hello", *, key: str | None = None, **fields: Any) -> dict[str, Any]:
    body = {"prompt": prompt, "session_id": 1, "interactive_mode": True, **fields}
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    with server.http() as http:
        response = http.post(PATH, json=body, headers=headers)
    answer: dict[str, Any] = response.json()
    assert response.status_code == answer.get("code", 200)
    return answer


def prompt_text(server: LiveServer, place: int = -1) -> str:
    return server.text.tokenizer.decode(server.engine.added[place].prompt_ids, skip_special_tokens=False)


@pytest.fixture
def fresh(server: LiveServer) -> LiveServer:
    """The shared server without the session that the tests use."""
    assert turn(server, "", interactive_mode=False, request_output_len=0) == ZEROS
    return server


def test_a_turn_sends_only_what_is_new(fresh: LiveServer) -> None:
    drawn = answering(fresh, "I am tiny.")
    first = turn(fresh, "Who are you?")
    asked = fresh.engine.added[0].prompt_ids
    assert first == {
        "text": "I am tiny.",
        "tokens": len(drawn),
        "input_tokens": len(asked),
        "history_tokens": 0,
        "finish_reason": "stop",
    }
    second = turn(fresh, "And now?")
    again = fresh.engine.added[1].prompt_ids
    assert again[: len(asked) + len(drawn)] == [*asked, *drawn]
    assert second["history_tokens"] == len(asked) + len(drawn)
    assert second["input_tokens"] == len(again) - len(asked) - len(drawn)
    assert prompt_text(fresh) == (
        "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\nI am tiny.<|im_end|>\n"
        "<|im_start|>user\nAnd now?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_tokens_are_kept_as_they_were_drawn(fresh: LiveServer) -> None:
    """Among them some that the tokenizer would not choose, and special ones that the client is not shown."""
    encode = fresh.text.tokenizer.encode
    letters = [encode(letter, add_special_tokens=False)[0] for letter in "The capital"]
    assert letters != encode("The capital", add_special_tokens=False)
    fresh.engine.script = say([*letters, 1, *letters], "length")
    assert turn(fresh)["text"] == "The capitalThe capital"
    turn(fresh)
    asked = fresh.engine.added[0].prompt_ids
    assert fresh.engine.added[1].prompt_ids[: len(asked) + 23] == [*asked, *letters, 1, *letters]


def test_a_turn_may_go_on_from_the_end_of_an_earlier_one(fresh: LiveServer) -> None:
    ends, asked = [], []
    for text in ("One.", "Two.", "Three."):
        answering(fresh, text)
        answer = turn(fresh, f"Say {text}")
        ends.append(answer["history_tokens"] + answer["input_tokens"] + answer["tokens"])
        asked.append(fresh.engine.added[-1].prompt_ids)
    answering(fresh, "Four.")
    again = turn(fresh, "Say Two.", step=ends[0])
    assert again["history_tokens"] == ends[0]
    assert fresh.engine.added[-1].prompt_ids == asked[1]
    turn(fresh, "And?")
    assert prompt_text(fresh).split("<|im_start|>")[1:-2] == [
        "user\nSay One.<|im_end|>\n",
        "assistant\nOne.<|im_end|>\n",
        "user\nSay Two.<|im_end|>\n",
        "assistant\nFour.<|im_end|>\n",
    ]
    refused = turn(fresh, step=ends[2])
    assert refused["param"] == "step"
    assert f"ended after {ends[0]}, " in refused["message"]


def test_a_stream_is_one_object_a_line(fresh: LiveServer) -> None:
    drawn = answering(fresh, "Paris 😀")
    with fresh.http() as http:
        response = http.post(PATH, json={"prompt": "Hello", "stream": "true"})
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = response.text.removesuffix("\n").split("\n")
    pieces = [json.loads(line) for line in lines]
    assert "".join(piece["text"] for piece in pieces) == "Paris 😀"
    assert [piece["finish_reason"] for piece in pieces] == [None] * (len(pieces) - 1) + ["stop"]
    assert pieces[-1]["tokens"] == len(drawn)
    assert [piece["tokens"] for piece in pieces] == sorted(piece["tokens"] for piece in pieces)
    assert {tuple(piece) for piece in pieces} == {tuple(ZEROS)}


def test_without_a_session_nothing_is_kept(fresh: LiveServer) -> None:
    answering(fresh, "Yes.")
    for _ in range(2):
        assert turn(fresh, session_id=-1)["history_tokens"] == 0
    assert turn(fresh, interactive_mode=False)["history_tokens"] == 0
    assert turn(fresh, interactive_mode=False)["history_tokens"] == 0


def test_a_turn_that_ends_the_session_still_knows_it(fresh: LiveServer) -> None:
    answering(fresh, "Yes.")
    turn(fresh, "First")
    assert turn(fresh, "Second", interactive_mode=False)["history_tokens"] > 0
    assert "First" in prompt_text(fresh)
    assert turn(fresh, "Third")["history_tokens"] == 0
    assert "Second" not in prompt_text(fresh)


def test_messages_and_a_replay_without_an_answer(fresh: LiveServer) -> None:
    answering(fresh, "Marco.")
    told = [{"role": "user", "content": "I am Marco."}, {"role": "assistant", "content": "Hello, Marco!"}]
    replay = turn(fresh, told, request_output_len=0)
    assert (replay["text"], replay["tokens"], replay["finish_reason"]) == ("", 0, "length")
    assert not fresh.engine.added
    answer = turn(fresh, [{"role": "user", "content": [{"type": "text", "text": "Who am I?"}]}])
    assert answer["history_tokens"] == replay["input_tokens"]
    assert prompt_text(fresh).startswith(
        "<|im_start|>user\nI am Marco.<|im_end|>\n<|im_start|>assistant\nHello, Marco!<|im_end|>\n"
        "<|im_start|>user\nWho am I?"
    )


def test_a_replay_may_not_be_longer_than_the_context(fresh: LiveServer) -> None:
    for _ in range(2):
        full = turn(fresh, "a b c d " * 40, request_output_len=0)
    assert (full["text"], full["finish_reason"]) == ("", "length")
    assert full["history_tokens"] < 256 < full["history_tokens"] + full["input_tokens"]
    answering(fresh, "Yes.")
    assert turn(fresh, "And?")["history_tokens"] == full["history_tokens"]


def test_every_parameter_reaches_the_engine(fresh: LiveServer) -> None:
    turn(
        fresh,
        request_output_len=7,
        top_p=0.5,
        top_k=3,
        temperature=0.25,
        repetition_penalty=1.5,
        min_p=0.125,
        min_new_tokens=2,
        ignore_eos=True,
        seed=11,
    )
    params = fresh.engine.added[0].params
    assert (params.max_tokens, params.top_p, params.top_k, params.temperature) == (7, 0.5, 3, 0.25)
    assert (params.repetition_penalty, params.min_p, params.min_tokens, params.seed) == (1.5, 0.125, 2, 11)
    assert params.stop_token_ids == ()
    turn(fresh, session_id=-1, seed=0)
    params = fresh.engine.added[1].params
    assert (params.top_p, params.top_k, params.temperature, params.repetition_penalty) == (0.8, 40, 0.8, 1.0)
    assert params.max_tokens == 256 - len(fresh.engine.added[1].prompt_ids)
    assert params.seed != 0


def test_a_stop_string_of_several_tokens_ends_the_answer(fresh: LiveServer) -> None:
    answering(fresh, "one two three")
    assert turn(fresh, stop=" tw")["text"] == "one"
    assert turn(fresh, stop=["zz", "thr"])["text"] == "one two "
    assert prompt_text(fresh).count("one<|im_end|>") == 1


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"top_p": 1.5}, "top_p", "The top_p 1.5 must be in (0, 1]."),
        ({"top_p": 0}, "top_p", "The top_p 0.0 must be in (0, 1]."),
        ({"top_k": -1}, "top_k", "The top_k -1 cannot be a negative integer."),
        ({"temperature": 2.5}, "temperature", "The temperature 2.5 must be in [0, 2]"),
        ({"image_url": "http://x/y.png"}, "image_url", "`image_url` argument only works for VL model"),
        ({"adapter_name": "lora"}, "adapter_name", "adapter_name is not supported by this server; leave it out."),
        (
            {"step": 3},
            "step",
            "step is 3; turns of this conversation ended after no tokens, and 0 is all of it.",
        ),
        ({"sequence_start": True}, "sequence_start", "sequence_start is not supported by this server; leave it out."),
        ({"cancel": True, "session_id": -1}, "session_id", "please set a session_id to cancel a request"),
        ({"request_output_len": -1}, "request_output_len", "request_output_len is -1; it must be at least 1."),
        (
            {"repetition_penalty": 0},
            "repetition_penalty",
            "repetition_penalty is 0.0; it must be at least 0.001 and at most 1000.",
        ),
        (
            {"min_new_tokens": 9, "request_output_len": 3},
            "min_new_tokens",
            "min_new_tokens is 9; it must be at most request_output_len, 3.",
        ),
        (
            {"prompt": ""},
            "prompt",
            "prompt is empty; to end a session, send it with request_output_len 0 and interactive_mode false.",
        ),
        ({"prompt": [{"content": "x"}]}, "prompt.0.role", "prompt.0.role is missing."),
    ],
)
def test_what_cannot_be_honoured(fresh: LiveServer, fields: dict[str, Any], param: str, message: str) -> None:
    assert turn(fresh, **fields) == {
        "message": message,
        "type": "invalid_request_error",
        "code": 400,
        "param": param,
        "object": "error",
    }
    assert not fresh.engine.added


def test_neutral_and_unknown_fields_pass(fresh: LiveServer) -> None:
    with fresh.http() as http:
        response = http.post(PATH, json={"prompt": "Hello", "adapter_name": None, "step": 0, "kwargs": {}})
    assert response.status_code == 200
    assert response.headers["x-portico-ignored"] == "kwargs"


def test_a_session_that_is_full_says_length(fresh: LiveServer) -> None:
    answering(fresh, "Yes.")
    first = turn(fresh, "Hello")
    before = first["input_tokens"] + first["tokens"]
    full = turn(fresh, "And?", request_output_len=512)
    assert (full["text"], full["tokens"], full["finish_reason"]) == ("", 0, "length")
    assert full["history_tokens"] == before
    assert turn(fresh, "And?")["history_tokens"] == before
    with fresh.http() as http:
        body = {"prompt": "Hello", "session_id": 1, "interactive_mode": False, "request_output_len": 512}
        assert json.loads(http.post(PATH, json={**body, "stream": True}).text)["finish_reason"] == "length"
    assert turn(fresh, "And?")["history_tokens"] == 0


def held(server: LiveServer, gate: Gate, before: str, after: str) -> None:
    """The engine says `before`, waits, and says `after`."""
    encode = server.text.tokenizer.encode

    def script(add: Add) -> Iterator[Any]:
        yield from said(add, encode(before, add_special_tokens=False))
        yield gate
        yield from said(add, encode(after, add_special_tokens=False))
        yield ended(add)

    server.engine.script = script


def test_cancel_ends_what_runs_and_keeps_what_was_said(fresh: LiveServer) -> None:
    gate = Gate()
    held(fresh, gate, "one two", " three")
    with fresh.http() as http, http.stream("POST", PATH, json=_asked(stream=True)) as response:
        lines = response.iter_lines()
        begun = json.loads(next(lines))["text"]
        assert gate.reached.wait(20)
        assert turn(fresh, "", cancel=True) == ZEROS
        gate.open()
        pieces = [json.loads(line) for line in lines]
    assert begun + "".join(piece["text"] for piece in pieces) == "one two"
    assert pieces[-1]["finish_reason"] == "stop"
    fresh.engine.wait_for(lambda: not fresh.engine.running)
    answering(fresh, "Yes.")
    assert turn(fresh, "And?")["history_tokens"] > 0
    assert "<|im_start|>assistant\none two<|im_end|>" in prompt_text(fresh)


def _asked(**fields: Any) -> dict[str, Any]:
    return {"prompt": "Hello", "session_id": 1, "interactive_mode": True, **fields}


def test_a_client_that_hangs_up_leaves_what_was_said(fresh: LiveServer) -> None:
    gate = Gate()
    held(fresh, gate, "one two", " three")
    with fresh.http() as http, http.stream("POST", PATH, json=_asked(stream=True)) as response:
        lines = response.iter_lines()  # dropping it would hang up
        next(lines)
        assert gate.reached.wait(20)
    fresh.engine.wait_for(lambda: not fresh.engine.running)
    answering(fresh, "Yes.")
    assert turn(fresh, "And?")["history_tokens"] > 0
    assert "<|im_start|>assistant\none two<|im_end|>" in prompt_text(fresh)


def test_a_turn_that_brought_nothing_is_forgotten(fresh: LiveServer) -> None:
    gate = Gate()
    held(fresh, gate, "", "late")
    with pytest.raises(httpx.ReadTimeout), httpx.Client(base_url=fresh.url, timeout=0.2) as http:
        http.post(PATH, json=_asked())
    fresh.engine.wait_for(lambda: not fresh.engine.running)
    answering(fresh, "Yes.")
    assert turn(fresh, "And?")["history_tokens"] == 0


def test_a_turn_that_failed_is_forgotten_and_tells_so(fresh: LiveServer) -> None:
    fresh.engine.script = lambda add: [*said(add, [5]), RequestError("no luck", status=500, type="server_error")]
    told = {"message": "no luck", "type": "server_error", "code": 500, "param": None, "object": "error"}
    assert turn(fresh) == told
    with fresh.http() as http:
        last = http.post(PATH, json=_asked(stream=True)).text.splitlines()[-1]
    assert json.loads(last) == told
    answering(fresh, "Yes.")
    assert turn(fresh)["history_tokens"] == 0


def test_turns_of_one_session_run_one_after_another(fresh: LiveServer) -> None:
    gate = Gate()
    held(fresh, gate, "", "one")
    answers: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda text=text: answers.append(turn(fresh, text))) for text in ("a", "b")]
    for thread in threads:
        thread.start()
    assert gate.reached.wait(20)
    answering_elsewhere = turn(fresh, "", cancel=True, session_id=2)
    assert answering_elsewhere == ZEROS
    assert len(fresh.engine.added) == 1
    gate.open()
    for thread in threads:
        thread.join()
    assert sorted(answer["history_tokens"] > 0 for answer in answers) == [False, True]


def test_api_keys_have_sessions_of_their_own(text_model: TextModel) -> None:
    with portico(text_model, replace(SETTINGS, api_keys=("alice", "bob"))) as server:
        answering(server, "Yes.")
        turn(server, "I am Alice.", key="alice")
        assert turn(server, "Who am I?", key="bob")["history_tokens"] == 0
        assert "Alice" not in prompt_text(server)
        assert turn(server, "", key="bob", interactive_mode=False, request_output_len=0) == ZEROS
        assert turn(server, "Who am I?", key="alice")["history_tokens"] > 0
        with server.http() as http:
            assert http.post(PATH, json={"prompt": "x"}).status_code == 401


def test_sessions_are_limited_in_number_and_idle_time(text_model: TextModel) -> None:
    now = [0.0]
    sessions = Sessions(MemoryStore(SessionLimits(count=2, idle_seconds=60.0)), clock=lambda: now[0])
    with portico(text_model, sessions=sessions) as server:
        answering(server, "Yes.")
        for session_id in (1, 2, 3):
            turn(server, session_id=session_id)
        assert turn(server, session_id=3)["history_tokens"] > 0
        assert turn(server, session_id=1)["history_tokens"] == 0
        now[0] = 59.0
        assert turn(server, session_id=1)["history_tokens"] > 0
        now[0] = 120.0
        assert turn(server, session_id=1)["history_tokens"] == 0


class _Broken(MemoryStore):
    async def load(self, key: Key, now: float) -> bytes | None:
        raise OSError("the secret address does not answer")


class _Garbage(MemoryStore):
    async def load(self, key: Key, now: float) -> bytes | None:
        return b"\xc1"


def test_a_store_that_fails_is_told_without_its_secrets(text_model: TextModel) -> None:
    with portico(text_model, sessions=Sessions(_Broken(SessionLimits()))) as server:
        answer = turn(server)
        assert (answer["code"], answer["message"]) == (503, "The store of sessions does not answer.")
        assert turn(server, session_id=-1)["finish_reason"] == "stop"


def test_what_cannot_be_read_begins_anew(text_model: TextModel) -> None:
    with portico(text_model, sessions=Sessions(_Garbage(SessionLimits()))) as server:
        answering(server, "Yes.")
        assert turn(server)["history_tokens"] == 0


def test_a_chat_completion_may_not_take_a_session_and_can_be_cancelled(fresh: LiveServer) -> None:
    answering(fresh, "Yes.")
    turn(fresh)
    chat = {"messages": [{"role": "user", "content": "Hello"}]}
    with fresh.http() as http:
        error = http.post("/v1/chat/completions", json={**chat, "session_id": 1}).json()["error"]
        assert (error["message"], error["param"]) == ("The session_id 1 is occupied.", "session_id")
        gate = Gate()
        held(fresh, gate, "one two", " three")
        body = {**chat, "session_id": 9, "stream": True}
        with http.stream("POST", "/v1/chat/completions", json=body) as response:
            lines = (line for line in response.iter_lines() if line)
            next(lines)
            assert gate.reached.wait(20)
            assert turn(fresh, "", cancel=True, session_id=9) == ZEROS
            gate.open()
            events = list(lines)
    assert events[-1] == "data: [DONE]"
    assert json.loads(events[-2].removeprefix("data: "))["choices"][0]["finish_reason"] == "stop"
