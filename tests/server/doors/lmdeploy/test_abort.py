from __future__ import annotations

import dataclasses
import json
from typing import Any

from portico.text.model import TextModel
from tests.server.doors.lmdeploy.test_interactive import held
from tests.server.fake_engine import Gate
from tests.server.harness import MODEL, SETTINGS, LiveServer, portico


def abort(server: LiveServer, **fields: Any) -> Any:
    with server.http() as http:
        return http.post("/abort_request", json=fields)


def test_what_runs_in_a_session_ends(server: LiveServer) -> None:
    gate = Gate()
    held(server, gate, "one", " two")
    body = {"model": MODEL, "prompt": "x", "session_id": 7, "stream": True}
    with server.http() as http, http.stream("POST", "/v1/completions", json=body) as response:
        lines = (line for line in response.iter_lines() if line)
        next(lines)
        assert gate.reached.wait(20)
        assert abort(server, session_id=7).status_code == 200
        gate.open()
        chunks = [json.loads(line.removeprefix("data: ")) for line in list(lines)[:-1]]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert not any("two" in chunk["choices"][0]["text"] for chunk in chunks)


def test_nothing_to_end(server: LiveServer) -> None:
    for fields in ({"session_id": 7}, {}):
        answer = abort(server, **fields)
        assert answer.status_code == 400
        assert answer.json()["message"] == f"Session {fields.get('session_id', -1)} not found."
        assert answer.json()["param"] == "session_id"
    assert abort(server, abort_all=True).status_code == 501
    refused = abort(server, session_id=7, abort_message="enough")
    assert (refused.status_code, refused.json()["param"]) == (400, "abort_message")


def test_everything_ends_where_that_is_allowed(text_model: TextModel) -> None:
    gate = Gate()
    with portico(text_model, dataclasses.replace(SETTINGS, abort_all=True)) as server:
        held(server, gate, "one", " two")
        body = {"model": MODEL, "prompt": "x", "stream": True}
        with server.http() as http, http.stream("POST", "/v1/completions", json=body) as response:
            lines = (line for line in response.iter_lines() if line)
            next(lines)
            assert gate.reached.wait(20)
            assert abort(server, abort_all=True).status_code == 200
            gate.open()
            *_, last, _ = lines
        assert "error" in json.loads(last.removeprefix("data: "))
