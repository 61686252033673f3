"""Owner, priority and deadline of a request, at every door that asks the model."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import openai
import pytest

from portico.config.keys import KeyTerms, key_digest
from portico.protocol.messages import Add, TokenEvent
from portico.server.admission import QUICK_PATHS
from portico.text.model import TextModel
from tests.server.fake_engine import Gate, Step, echo
from tests.server.harness import MODEL, SETTINGS, LiveServer, portico

KEYS = ("one", "two")
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
COMPLETION = {"model": MODEL, "prompt": "hello there", "max_tokens": 2}
EMBEDDED = {"model": MODEL, "input": "hello"}
PRIORITISED: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", CHAT),
    ("/v1/completions", COMPLETION),
    ("/v1/embeddings", EMBEDDED),
    ("/score", {"model": MODEL, "text_1": "cat", "text_2": "dog"}),
    ("/rerank", {"model": MODEL, "query": "cat", "documents": ["dog"]}),
    ("/v1/responses", {"model": MODEL, "input": "hello", "max_output_tokens": 4}),
    ("/v1/messages", CHAT),
]
ASKED: list[tuple[str, dict[str, Any]]] = [
    *PRIORITISED,
    ("/generate", {"prompt": "hello there", "max_tokens": 2}),
    ("/v1/chat/interactive", {"prompt": "hello", "request_output_len": 4}),
]
"""Every route that asks the model."""


def answers(add: Add) -> Iterable[Step]:
    """What the request asks for, a vector or text."""
    if add.params.pooling is None:
        return echo(add)
    return [[TokenEvent(add.request_id, 0, [], "length", embedding=[1.0] * 8)]]


def stuck(add: Add) -> Iterable[Step]:
    yield Gate()


@pytest.fixture(scope="module")
def locked(text_model: TextModel) -> Iterator[LiveServer]:
    settings = replace(
        SETTINGS,
        api_keys=(*KEYS, "chief"),
        key_terms={key_digest("chief"): KeyTerms(outranks=True)},
        request_timeout=600.0,
    )
    with portico(text_model, settings) as server:
        yield server


def post(server: LiveServer, path: str, body: dict[str, Any], key: str = "one", **headers: str) -> Any:
    with server.http() as http:
        return http.post(path, json=body, headers={"authorization": f"Bearer {key}"} | headers)


@pytest.mark.parametrize(("path", "body"), ASKED)
def test_every_door_says_whose_a_request_is(locked: LiveServer, path: str, body: dict[str, Any]) -> None:
    locked.engine.script = answers
    owners = []
    for key in ("one", "two", "one"):
        locked.engine.added.clear()
        answer = post(locked, path, body, key)
        assert answer.status_code == 200, answer.text
        owners.append({add.owner for add in locked.engine.added})
    assert owners[0] == owners[2] != owners[1]
    assert all(len(of_one) == 1 and 0 not in of_one for of_one in owners)


def test_the_routes_of_this_file_are_all_there_are(locked: LiveServer) -> None:
    """A new route that asks the model belongs into the list above, or among those that do not ask it."""
    paths = (
        post(locked, "/nowhere", {})
        and locked.http().get("/openapi.json", headers={"authorization": "Bearer one"}).json()["paths"]
    )
    others = {"/v1/score", "/v1/rerank", "/v2/rerank"}  # other names
    posts = {path for path, routes in paths.items() if "post" in routes and not path.startswith(QUICK_PATHS)}
    assert posts - others == {path for path, _ in ASKED}


@pytest.mark.parametrize(("path", "body"), PRIORITISED)
def test_a_priority_reaches_the_engine_and_outranks_only_with_the_right(
    locked: LiveServer, path: str, body: dict[str, Any]
) -> None:
    locked.engine.script = answers
    for key, outranks in (("one", False), ("chief", True)):
        locked.engine.added.clear()
        assert post(locked, path, body | {"priority": -3}, key).status_code == 200
        assert {(add.priority, add.outranks) for add in locked.engine.added} == {(-3, outranks)}


@pytest.mark.parametrize("priority", [2**31, -(2**40)])
def test_a_priority_out_of_range_is_named(locked: LiveServer, priority: int) -> None:
    answer = post(locked, "/v1/completions", COMPLETION | {"priority": priority})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "priority")


@pytest.mark.parametrize(("path", "body"), ASKED)
def test_what_is_not_finished_in_time_is_a_504_and_leaves_the_engine(
    locked: LiveServer, path: str, body: dict[str, Any]
) -> None:
    locked.engine.script = stuck
    locked.engine.cancelled.clear()
    locked.engine.added.clear()
    answer = post(locked, path, body, **{"x-request-timeout": "0.2"})
    assert answer.status_code == 504, answer.text
    assert "within 0.2 s" in answer.text
    if (path, body) in PRIORITISED:  # OpenAI's clients, which go by it, ask nowhere else
        assert answer.headers["x-should-retry"] == "false"
    locked.engine.wait_for(lambda: not locked.engine.running)
    assert locked.engine.cancelled or not locked.engine.added


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (path, body | {"stream": True})
        for path, body in ASKED
        if "generate" in path or "chat" in path or "messages" in path or body is COMPLETION
    ],
)
def test_a_stream_that_has_begun_ends_with_an_error_event(locked: LiveServer, path: str, body: dict[str, Any]) -> None:
    def begins(add: Add) -> Iterable[Step]:
        yield [TokenEvent(add.request_id, 0, add.prompt_ids[:1])]
        yield Gate()

    locked.engine.script = begins
    answer = post(locked, path, body, **{"x-request-timeout": "0.1"})
    assert answer.status_code == 200
    assert "within 0.1 s" in answer.text
    locked.engine.wait_for(lambda: not locked.engine.running)


def test_openais_client_sees_one_error_and_does_not_ask_again(locked: LiveServer) -> None:
    locked.engine.script = stuck
    locked.engine.added.clear()
    client = locked.openai("one").with_options(max_retries=2)
    with pytest.raises(openai.InternalServerError) as caught:
        client.completions.create(**COMPLETION, extra_headers={"X-Request-Timeout": "0.05"})
    assert caught.value.code == "request_timeout"
    assert len(locked.engine.added) == 1


@pytest.mark.parametrize("text", ["soon", "0", "-1", "inf", "nan", ""])
def test_a_header_that_is_no_time_is_a_400_that_names_it(locked: LiveServer, text: str) -> None:
    answer = post(locked, "/v1/completions", COMPLETION, **{"x-request-timeout": text})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "X-Request-Timeout")


def test_the_header_makes_the_servers_time_shorter_and_never_longer(text_model: TextModel) -> None:
    with portico(text_model, replace(SETTINGS, request_timeout=0.05)) as server:
        server.engine.script = stuck
        with server.http() as http:
            answer = http.post("/v1/completions", json=COMPLETION, headers={"x-request-timeout": "600"})
        assert (answer.status_code, "within 0.05 s" in answer.text) == (504, True)


def test_a_key_may_have_a_time_of_its_own(text_model: TextModel) -> None:
    terms = {key_digest("one"): KeyTerms(request_timeout=0.05), key_digest("two"): KeyTerms(request_timeout=300.0)}
    with portico(text_model, replace(SETTINGS, api_keys=KEYS, key_terms=terms, request_timeout=0.05)) as server:
        server.engine.script = stuck
        late = post(server, "/v1/completions", COMPLETION, "one", **{"x-request-timeout": "600"})
        assert (late.status_code, "within 0.05 s" in late.text) == (504, True)
        server.engine.script = answers
        assert post(server, "/v1/completions", COMPLETION, "two").status_code == 200
        server.engine.script = stuck
        late = post(server, "/v1/completions", COMPLETION, "two", **{"x-request-timeout": "0.1"})
        assert "within 0.1 s" in late.text


def test_time_counts_from_the_arrival_and_a_late_request_never_reaches_the_engine(
    locked: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the layout of the prompt takes the whole time."""
    locked.engine.script = answers
    locked.engine.added.clear()
    plain = type(locked.text).prepare

    def slow(*arguments: Any) -> Add:
        time.sleep(0.06)
        return plain(*arguments)

    monkeypatch.setattr(type(locked.text), "prepare", slow)
    answer = post(locked, "/v1/completions", COMPLETION, **{"x-request-timeout": "0.05"})
    assert answer.status_code == 504
    assert locked.engine.added == []


def test_waiting_for_a_thread_counts_too(locked: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind others whose schemas take long to compile: the answer comes when its time is over."""
    plain, held = type(locked.text).prepare, threading.Event()

    def waiting(*arguments: Any) -> Add:
        assert held.wait(20)
        return plain(*arguments)

    locked.engine.script = answers
    locked.engine.added.clear()
    monkeypatch.setattr(type(locked.text), "prepare", waiting)
    for wish in ({"guided_regex": "a+"}, {"prompt": "hello " * 9000}):
        for _ in range(4):  # more than there are threads for grammars
            answer = post(locked, "/v1/completions", COMPLETION | wish, **{"x-request-timeout": "0.05"})
            assert answer.status_code == 504
    held.set()
    monkeypatch.undo()
    assert post(locked, "/v1/completions", COMPLETION | {"guided_regex": "a+"}).status_code == 200
    assert len(locked.engine.added) == 1


def test_waiting_for_the_turn_before_in_a_conversation_counts_too(locked: LiveServer) -> None:
    gate = Gate()

    def held(add: Add) -> Iterable[Step]:
        yield gate
        yield from echo(add)

    locked.engine.script = held
    turn = {"prompt": "hello", "request_output_len": 4, "session_id": 7, "interactive_mode": True}
    with ThreadPoolExecutor(1) as pool:
        before = pool.submit(post, locked, "/v1/chat/interactive", turn)
        assert gate.reached.wait(20)
        late = post(locked, "/v1/chat/interactive", turn, **{"x-request-timeout": "0.05"})
        gate.open()
        assert (late.status_code, before.result().status_code) == (504, 200)
    locked.engine.script = echo
    assert post(locked, "/v1/chat/interactive", turn, **{"x-request-timeout": "300"}).status_code == 200


def test_a_finished_answer_is_no_less_for_its_deadline(locked: LiveServer) -> None:
    locked.engine.script = echo
    answer = post(locked, "/v1/completions", COMPLETION, **{"x-request-timeout": "300"})
    assert answer.json()["choices"][0]["finish_reason"] == "length"
