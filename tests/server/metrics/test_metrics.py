"""GET /metrics, read by Prometheus' own parser."""

from __future__ import annotations

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from portico.protocol.messages import EngineStats, TokenEvent
from portico.server.metrics.metrics import Metrics
from portico.text.model import TextModel
from tests.server.fake_engine import FakeEngine, Gate, say
from tests.server.harness import MODEL, SETTINGS, LiveServer, portico


def scraped(text: str) -> dict[str, float]:
    """Each sample by its name and the labels that are not the model's."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if name != "model_name"}
            assert sample.labels.get("model_name", MODEL) == MODEL
            found[sample.name + "".join(f"|{value}" for value in labels.values())] = sample.value
    return found


def metrics_of(server: LiveServer) -> dict[str, float]:
    answer = httpx.get(f"{server.url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return scraped(answer.text)


def complete(server: LiveServer, **fields: object) -> httpx.Response:
    body = {"prompt": "Hello, world!", "max_tokens": 4, **fields}
    return httpx.post(f"{server.url}/v1/completions", json=body)


def test_requests_are_counted_by_how_they_ended(text_model: TextModel) -> None:
    with portico(text_model) as server:
        assert metrics_of(server)["portico:engine_up"] == 1
        complete(server)
        tokens = len(server.engine.added[0].prompt_ids)
        server.engine.script = say([5, 2])
        complete(server)
        complete(server, prompt=["a", "b"])
        server.engine.script = lambda add: [[TokenEvent(add.request_id, 0, [], "error", error="broken")]]
        assert complete(server).status_code == 500
        found = metrics_of(server)
        ends = {reason: found.get(f"portico:requests_total|{reason}") for reason in ("length", "stop", "error")}
        assert ends == {"length": 1, "stop": 3, "error": 1}
        assert found["portico:request_generation_tokens_sum"] == 4 + 3 * 2
        assert found["portico:time_to_first_token_seconds_count"] == 4
        assert found["portico:request_prompt_tokens_bucket|+Inf"] == 5
        assert found["completion_tokens_sum"] == 10
        assert found["last_finished_request_completion_tokens"] == 2
        assert found["prompt_tokens_sum"] > tokens


def test_a_client_that_hangs_up(text_model: TextModel) -> None:
    with portico(text_model) as server:
        gate = Gate()
        server.engine.script = lambda add: [[TokenEvent(add.request_id, 0, [5])], gate]
        with httpx.stream("POST", f"{server.url}/v1/completions", json={"prompt": "a", "stream": True}):
            assert gate.reached.wait(20)
        server.engine.wait_for(lambda: not server.engine.running)
        assert metrics_of(server)["portico:requests_total|abort"] == 1


class Busy(FakeEngine):
    """An engine with figures of its own."""

    @property
    def stats(self) -> EngineStats | None:
        return EngineStats(7, 3, 2, 16, 64, 1, 100, 40, 50)


def test_the_engines_own_counts() -> None:
    found = scraped(Metrics(Busy(), MODEL).text().decode())
    assert found["portico:num_requests_running"] == 3
    assert found["portico:kv_cache_usage"] == 0.25
    assert found["portico:cached_prompt_tokens_total"] == 40
    assert found["portico:generation_tokens_total"] == 50


@pytest.mark.parametrize("why", ["crashed", None])
def test_an_engine_that_is_not_there(why: str | None) -> None:
    engine = FakeEngine(limits=None, why_failed=why)
    assert scraped(Metrics(engine, MODEL).text().decode())["portico:engine_up"] == 0


def test_a_key_is_needed(text_model: TextModel) -> None:
    from dataclasses import replace

    with portico(text_model, replace(SETTINGS, api_keys=("k",))) as server, server.http() as http:
        assert http.get("/metrics").status_code == 401
