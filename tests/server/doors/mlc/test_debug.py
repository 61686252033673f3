"""The routes under /debug."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from portico.protocol.messages import TokenEvent
from portico.text.model import TextModel
from tests.server.fake_engine import Gate
from tests.server.harness import MODEL, SETTINGS, LiveServer, portico
from tests.text.trace_format import check_trace

TRACE = "/debug/dump_event_trace"


@pytest.fixture
def debugged(text_model: TextModel) -> Iterator[LiveServer]:
    with portico(text_model, replace(SETTINGS, debug=True, tracing=True)) as server:
        yield server


def ask(server: LiveServer, **fields: Any) -> Any:
    with server.http() as http:
        return http.post("/v1/completions", json={"prompt": "Hello, world!", "max_tokens": 3, **fields})


def test_without_the_flags(text_model: TextModel) -> None:
    with portico(text_model) as server, server.http() as http:
        assert http.post(TRACE, json={"model": MODEL}).status_code == 404
    with portico(text_model, replace(SETTINGS, debug=True)) as server, server.http() as http:
        answer = http.post(TRACE, json={"model": MODEL})
        assert answer.status_code == 400
        assert f'"{MODEL}" does not enable tracing' in answer.json()["error"]["message"]
        assert http.post(TRACE, json={"model": "other"}).status_code == 404


def test_the_trace_of_a_request(debugged: LiveServer) -> None:
    ids = [ask(debugged).json()["id"] for _ in range(2)]
    with debugged.http() as http:
        events = http.post(TRACE, json={"model": MODEL}).json()
    assert list(check_trace(events)) == ids
    mine = [event for event in events if event["tid"] == ids[0]]
    assert [event["ts"] for event in mine] == sorted(event["ts"] for event in mine)
    assert [(event["ph"], event["name"]) for event in mine] == [
        ("i", "receive request (0)"),
        ("B", "tokenization (0)"),
        ("E", "tokenization (0)"),
        ("i", "request added to engine (0)"),
        ("B", "prefill (0)"),
        ("E", "prefill (0)"),
        ("B", "decode (0)"),
        ("E", "decode (0)"),
        ("B", "decode (1)"),
        ("E", "decode (1)"),
        ("i", "finish: length (0)"),
    ]


def test_the_engine_in_figures(debugged: LiveServer) -> None:
    with debugged.http() as http:
        assert http.post("/debug/dump_engine_metrics", json={}).json()["metrics"]["completion_tokens_sum"] == 0
        ask(debugged)
        metrics = http.post("/debug/dump_engine_metrics", json={"model": MODEL}).json()["metrics"]
    prompt = len(debugged.engine.added[0].prompt_ids)
    assert (metrics["prompt_tokens_sum"], metrics["completion_tokens_sum"]) == (prompt, 3)
    last = metrics["last_finished_request"]
    assert (last["prefill_tokens"], last["decode_tokens"]) == (prompt, 2)
    assert last["end_to_end_latency_s"] >= last["ttft_s"] > 0


def test_a_reset_ends_what_runs(debugged: LiveServer) -> None:
    gate = Gate()
    debugged.engine.script = lambda add: [[TokenEvent(add.request_id, 0, [5])], gate]
    answers: list[Any] = []
    client = threading.Thread(target=lambda: answers.append(ask(debugged)))
    client.start()
    assert gate.reached.wait(20)
    with debugged.http() as http:
        assert http.post("/debug/reset_engine", json={"model": MODEL}).text == "null"
        gate.open()
        client.join(20)
        assert answers[0].status_code == 500
        assert "ended the request" in answers[0].json()["error"]["message"]
        assert 'reason="error"} 1.0' in http.get("/metrics").text
