"""The figures of a running server agree with what was asked of it."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.serving import Server


def samples(server: Server) -> dict[str, float]:
    told = {}
    for family in text_string_to_metric_families(httpx.get(f"{server.url}/metrics", timeout=60).text):
        for sample in family.samples:
            further = [value for name, value in sorted(sample.labels.items()) if name not in ("model_name", "engine")]
            told["|".join([sample.name, *further])] = sample.value
    return told


def test_sums_agree_with_answers(demo: Server) -> None:
    before = samples(demo)
    prompt = "two steps to build a house: "
    bodies = [{"prompt": prompt * 4 + str(n), "max_tokens": 5 + n, "ignore_eos": True} for n in range(6)]
    answers = [httpx.post(f"{demo.url}/v1/completions", json=body, timeout=60).json()["usage"] for body in bodies]
    after = samples(demo)
    grown = {name: value - before.get(name, 0.0) for name, value in after.items()}
    given = sum(usage["completion_tokens"] for usage in answers)
    read = sum(usage["prompt_tokens"] for usage in answers)
    cached = sum(usage["prompt_tokens_details"]["cached_tokens"] for usage in answers)
    assert given == sum(range(5, 11))
    assert cached > 0
    for name in ("generation_tokens_total", "request_generation_tokens_sum"):
        assert grown[f"vllm:{name}"] == given, name
    for name in ("prompt_tokens_total", "prefix_cache_queries_total", "request_prompt_tokens_sum"):
        assert grown[f"vllm:{name}"] == read, name
    assert grown["vllm:prefix_cache_hits_total"] == cached
    assert grown["vllm:request_prefill_kv_computed_tokens_sum"] == read - cached
    # Each step computes what it reads and, for all but the last, the token before it.
    assert grown["vllm:iteration_tokens_total_sum"] == read - cached + given - len(answers)
    assert grown["vllm:request_success_total|length"] == len(answers)
    assert grown["vllm:inter_token_latency_seconds_count"] == given - len(answers)
    for name in ("queue", "prefill", "decode", "inference"):
        assert grown[f"vllm:request_{name}_time_seconds_count"] == len(answers), name
    parts = sum(grown[f"vllm:request_{name}_time_seconds_sum"] for name in ("queue", "prefill", "decode"))
    assert 0 < parts <= grown["vllm:e2e_request_latency_seconds_sum"]
    assert grown["portico:http_answers_total||200"] == len(answers) + 1
    assert after["portico_engine_process_resident_memory_bytes"] > 50e6
    assert after["portico:engine_restarts_total"] == 0
