"""What vLLM's clients ask beyond OpenAI's API, of the bundled model."""

from __future__ import annotations

import httpx

from tests.e2e.serving import Server

TEXTS = ["Cats sleep.", "The capital of France is Paris.", "杭州西湖"]


def test_texts_are_compared_by_their_vectors(demo: Server) -> None:
    with httpx.Client(base_url=demo.url, timeout=60) as http:
        scores = http.post("/v1/score", json={"text_1": TEXTS[1], "text_2": TEXTS}).json()["data"]
        found = http.post("/v2/rerank", json={"query": TEXTS[1], "documents": TEXTS, "top_n": 2}).json()["results"]
    values = [item["score"] for item in scores]
    assert abs(values[1] - 1) < 1e-4
    assert max(values) == values[1]
    assert found[0]["document"]["text"] == TEXTS[1]
    assert [abs(item["relevance_score"] - values[item["index"]]) < 1e-4 for item in found] == [True, True]


def test_how_the_server_is(demo: Server) -> None:
    with httpx.Client(base_url=demo.url, timeout=60) as http:
        assert http.get("/ping").status_code == http.post("/ping").status_code == 200
        assert http.get("/load").json() == {"server_load": 0}
        told = http.get("/server_info", params={"config_format": "json"}).json()["vllm_config"]
        assert told["model_config"]["max_model_len"] == http.get("/v1/models").json()["data"][0]["max_model_len"]
