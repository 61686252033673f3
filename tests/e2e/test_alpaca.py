"""A server of Chinese-LLaMA-Alpaca-2's name beyond its document's examples: instructions, and embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.e2e.serving import Server, serving

NAME = "chinese-llama-alpaca-2"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--kv-cache-memory", "64MiB", "--seed", "1", "--served-model-name", NAME) as running:
        yield running


def test_an_instruction_is_answered_and_not_gone_on_with(server: Server) -> None:
    client = OpenAI(base_url=f"{server.url}/v1", api_key="none")
    said = client.completions.create(model=NAME, prompt="告诉我中国的首都在哪里", temperature=0).choices[0].text
    talk: Any = [{"role": "user", "content": "告诉我中国的首都在哪里"}]
    chat = client.chat.completions.create(model=NAME, messages=talk, temperature=0)
    assert said == chat.choices[0].message.content
    pieces = client.completions.create(model=NAME, prompt="告诉我中国的首都在哪里", temperature=0, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == said


def test_embeddings_are_means(server: Server, demo: Server) -> None:
    def vector(where: Server, model: str, text: Any) -> list[float]:
        answer = httpx.post(f"{where.url}/v1/embeddings", json={"model": model, "input": text}).json()
        assert answer["object"] == "list"
        found: list[float] = answer["data"][0]["embedding"]
        return found

    assert vector(server, NAME, [7]) == pytest.approx(vector(demo, "portico-demo", [7]), abs=1e-5)
    mean, last = vector(server, NAME, "西湖"), vector(demo, "portico-demo", "西湖")
    assert sum(value * value for value in mean) == pytest.approx(1, abs=1e-5)
    assert mean != pytest.approx(last, abs=1e-2)
