"""GET /metrics, read by Prometheus' own parser."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest
from msgspec.structs import replace
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
            labels = {name: value for name, value in sample.labels.items() if name not in ("model_name", "engine")}
            assert sample.labels.get("engine", "0") == "0"
            assert sample.labels.get("model_name", MODEL) == MODEL
            found[sample.name + "".join(f"|{value}" for value in labels.values())] = sample.value
    return found


def families(text: str) -> dict[str, set[str]]:
    """The names of each family's samples."""
    return {family.name: {sample.name for sample in family.samples} for family in text_string_to_metric_families(text)}


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
        for reason, count in {**ends, "abort": 0}.items():
            assert found[f"vllm:request_success_total|{reason}"] == count
        assert found["vllm:request_generation_tokens_sum"] == found["vllm:request_max_num_generation_tokens_sum"] == 10
        assert found["vllm:inter_token_latency_seconds_count"] == 10 - 4
        assert found["vllm:request_params_max_tokens_sum"] == 5 * 4
        assert found["vllm:request_params_n_count"] == 5
        assert found["portico:http_answers_total||200"] == 1 + 3
        assert found["portico:http_answers_total|engine_error|500"] == 1


def test_errors_are_counted_by_status_and_word(text_model: TextModel) -> None:
    with portico(text_model) as server:
        refused = complete(server, temperature=-1)
        assert "x-portico-error-code" not in refused.headers
        assert httpx.get(f"{server.url}/nowhere").status_code == 404
        found = metrics_of(server)
        word = refused.json()["error"]["code"] or ""
        assert found[f"portico:http_answers_total|{word}|400"] == 1
        assert found["portico:http_answers_total|not_found|404"] == 1


def test_a_request_of_several_choices(text_model: TextModel) -> None:
    with portico(text_model) as server:
        server.engine.script = say([5, 6, 7], "length")
        complete(server, n=3, temperature=1)
        found = metrics_of(server)
        assert found["vllm:request_params_n_sum"] == 3
        assert found["vllm:request_generation_tokens_sum"] == 9
        assert found["vllm:request_max_num_generation_tokens_sum"] == 3
        assert found["vllm:inter_token_latency_seconds_count"] == 6
        assert found["vllm:time_to_first_token_seconds_count"] == 1


def test_how_long_it_waited(text_model: TextModel) -> None:
    """The engine says when it gave a request its place, by the clock that both processes have."""
    with portico(text_model) as server:
        server.engine.script = lambda add: [
            [TokenEvent(add.request_id, 0, [5], scheduled=time.monotonic())],
            [TokenEvent(add.request_id, 0, [6], "length")],
        ]
        complete(server)
        found = metrics_of(server)
        parts = [found[f"vllm:request_{part}_time_seconds_sum"] for part in ("queue", "prefill", "decode")]
        assert all(part > 0 for part in parts)
        assert sum(parts[1:]) == pytest.approx(found["vllm:request_inference_time_seconds_sum"])
        assert sum(parts[:2]) == pytest.approx(found["vllm:time_to_first_token_seconds_sum"])
        assert sum(parts) <= found["vllm:e2e_request_latency_seconds_sum"]


def test_a_client_that_hangs_up(text_model: TextModel) -> None:
    with portico(text_model) as server:
        gate = Gate()
        server.engine.script = lambda add: [[TokenEvent(add.request_id, 0, [5])], gate]
        with httpx.stream("POST", f"{server.url}/v1/completions", json={"prompt": "a", "stream": True}):
            assert gate.reached.wait(20)
        server.engine.wait_for(lambda: not server.engine.running)
        assert metrics_of(server)["portico:requests_total|abort"] == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_its_deadline_ends_has_failed(text_model: TextModel, stream: bool) -> None:
    """Its client is told an error; what else it had said is as true of one choice that had ended as of none."""
    with portico(text_model) as server:
        ended = [TokenEvent("", 1, [5], "stop")]
        server.engine.script = lambda add: [
            [TokenEvent(add.request_id, 0, [5]), *(replace(event, request_id=add.request_id) for event in ended)],
            Gate(),
        ]
        body = {"prompt": "a", "n": 2, "temperature": 1, "stream": stream}
        for seconds in (0.1, 1, 10):  # on a busy machine a short time may be over before the engine has it
            headers = {"x-request-timeout": str(seconds)}
            assert "request_timeout" in httpx.post(f"{server.url}/v1/completions", json=body, headers=headers).text
            if server.engine.added:
                break
        found = metrics_of(server)
        for name in ("portico:requests_total", "vllm:request_success_total"):
            ends = {reason: found[f"{name}|{reason}"] for reason in ("stop", "length", "abort", "error")}
            assert ends == {"stop": 0, "length": 0, "abort": 0, "error": 1}


class Busy(FakeEngine):
    """An engine with figures of its own."""

    @property
    def stats(self) -> EngineStats | None:
        return EngineStats(7, 3, 2, 16, 64, 1, 100, 40, 50)

    def on_step(self, listener: Callable[[EngineStats], None]) -> None:
        """Two steps, and a message without one."""
        for tokens in (100, 3, 0):
            listener(EngineStats(7, 3, 2, 16, 64, 1, 100, 40, 50, tokens))


VLLM = """
gauge num_requests_running num_requests_waiting kv_cache_usage_perc gpu_cache_usage_perc cache_config_info
counter prefix_cache_queries prefix_cache_hits gpu_prefix_cache_queries gpu_prefix_cache_hits num_preemptions
counter prompt_tokens prompt_tokens_cached generation_tokens request_success
histogram time_to_first_token_seconds inter_token_latency_seconds time_per_output_token_seconds
histogram e2e_request_latency_seconds
histogram request_time_per_output_token_seconds request_queue_time_seconds request_inference_time_seconds
histogram request_prefill_time_seconds request_decode_time_seconds request_prompt_tokens request_generation_tokens
histogram request_max_num_generation_tokens request_params_n request_params_max_tokens
histogram request_prefill_kv_computed_tokens
histogram iteration_tokens_total
"""
"""What vLLM has: a kind and the names of that kind."""


def test_vllms_names_kinds_and_labels() -> None:
    metrics = Metrics(Busy(), MODEL)
    read = {family.name: family for family in text_string_to_metric_families(metrics.text().decode())}
    for line in VLLM.strip().splitlines():
        kind, *names = line.split()
        for name in names:
            family = read.pop(f"vllm:{name}")
            assert family.type == kind, name
            assert all({"model_name", "engine"} <= set(sample.labels) for sample in family.samples)
    assert [name for name in read if name.startswith("vllm:")] == []


def test_vllms_bounds_are_among_ours() -> None:
    bounds: dict[str, set[float]] = {}
    for family in text_string_to_metric_families(Metrics(FakeEngine(), MODEL).text().decode()):
        bounds[family.name] = {float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels}
    assert {0.001, 0.06, 0.75, 2560.0} <= bounds["vllm:time_to_first_token_seconds"]
    assert {0.01, 0.075, 0.15, 80.0} <= bounds["vllm:inter_token_latency_seconds"]
    assert {0.3, 0.8, 7680.0} <= bounds["vllm:e2e_request_latency_seconds"]
    assert {1, 2, 5, 10, 20, 50, 100000} <= bounds["vllm:request_prompt_tokens"]


def test_the_engines_own_counts() -> None:
    found = scraped(Metrics(Busy(), MODEL).text().decode())
    assert found["vllm:kv_cache_usage_perc"] == 0.25
    assert (found["vllm:prefix_cache_queries_total"], found["vllm:prefix_cache_hits_total"]) == (100, 40)
    assert found["vllm:num_preemptions_total"] == found["portico:preemptions_total"] == 1
    assert (found["vllm:iteration_tokens_total_count"], found["vllm:iteration_tokens_total_sum"]) == (2, 103)
    assert found["vllm:iteration_tokens_total_bucket|8.0"] == 1
    assert found["vllm:cache_config_info|16|float32|64"] == 1
    assert found["portico:engine_restarts_total"] == 0
    assert found["process_open_fds"] > 0
    assert found["portico_engine_process_resident_memory_bytes"] > 2**20
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
