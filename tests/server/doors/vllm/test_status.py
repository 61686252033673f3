from __future__ import annotations

import dataclasses

import pytest

from portico.text.model import TextModel
from tests.server.doors.lmdeploy.test_interactive import held
from tests.server.fake_engine import Gate
from tests.server.harness import MODEL, SETTINGS, LiveServer, portico


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_ping_is_health(server: LiveServer, method: str) -> None:
    with server.http() as http:
        assert http.request(method, "/ping").status_code == 200
        server.engine.why_failed = "killed by signal 9"
        answer = http.request(method, "/ping")
    assert answer.status_code == 503
    assert "signal 9" in answer.json()["reason"]


def test_ping_needs_no_key_and_what_tells_of_the_server_does(text_model: TextModel) -> None:
    with portico(text_model, dataclasses.replace(SETTINGS, api_keys=("secret",))) as server, server.http() as http:
        assert http.get("/ping").status_code == 200
        for path in ("/load", "/server_info"):
            assert http.get(path).status_code == 401
            assert http.get(path, headers={"Authorization": "Bearer secret"}).status_code == 200


def test_the_load_counts_what_is_being_answered(server: LiveServer) -> None:
    gate = Gate()
    held(server, gate, "one", " two")
    body = {"model": MODEL, "prompt": ["x", "y"], "stream": True}
    with server.http() as http:
        assert http.get("/load").json() == {"server_load": 0}
        with http.stream("POST", "/v1/completions", json=body) as response:
            lines = response.iter_lines()  # dropping it would hang up
            next(lines)
            assert server.http().get("/load").json() == {"server_load": 2}
            gate.open()
            assert list(lines)[-2] == "data: [DONE]"
        assert http.get("/load").json() == {"server_load": 0}


def test_what_runs(server: LiveServer) -> None:
    with server.http() as http:
        told = http.get("/server_info", params={"config_format": "json"}).json()
        assert told["version"] == "1.2.3"
        assert told["vllm_config"]["model_config"]["served_model_name"] == [MODEL, "alias"]
        assert told["vllm_config"]["model_config"]["max_model_len"] == 256
        assert told["vllm_config"]["cache_config"]["num_gpu_blocks"] == 64
        assert told["vllm_config"]["scheduler_config"]["max_num_seqs"] == 8
        assert "max_model_len=256" in http.get("/server_info").json()["vllm_config"]
        refused = http.get("/server_info", params={"config_format": "xml"})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "config_format"
