"""Vectors of texts through a real server, read by the official client."""

from __future__ import annotations

import math
from typing import Any

import openai
import pytest
from openai import OpenAI

from portico import LLM
from tests.e2e.serving import Server

TEXTS = ["The capital of France is Paris.", "杭州西湖", "Paris is the capital of France."]


@pytest.fixture
def client(demo: Server) -> OpenAI:
    return OpenAI(base_url=f"{demo.url}/v1", api_key="unused")


def vectors(client: OpenAI, texts: Any, **asked: Any) -> list[list[float]]:
    answer = client.embeddings.create(model="portico-demo", input=texts, **asked)
    assert [item.index for item in answer.data] == list(range(len(answer.data)))
    assert answer.usage.total_tokens == answer.usage.prompt_tokens > 0
    return [item.embedding for item in answer.data]


def test_each_text_has_a_vector_of_length_one(client: OpenAI) -> None:
    found = vectors(client, TEXTS)
    assert len(found) == 3
    for vector in found:
        assert len(vector) == 256
        assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)


def test_numbers_and_base64_are_the_same(client: OpenAI) -> None:
    # Without a format the client asks for base64 and decodes it.
    assert vectors(client, TEXTS, encoding_format="float") == [
        pytest.approx(vector, abs=1e-6) for vector in vectors(client, TEXTS)
    ]


def test_one_text_token_ids_and_the_library_say_the_same(client: OpenAI) -> None:
    (alone,) = vectors(client, TEXTS[0])
    together = vectors(client, TEXTS)[0]
    assert alone == pytest.approx(together, abs=1e-4)
    (offline,) = LLM(kv_cache_memory=1 << 26, threads=1).embed(TEXTS[0], progress=False)
    assert offline == pytest.approx(alone, abs=1e-4)
    ids = [[5, 6, 7], [8, 9]]
    assert len(vectors(client, ids)) == 2
    assert vectors(client, ids[1])[0] == pytest.approx(vectors(client, ids)[1], abs=1e-4)


def test_fewer_dimensions(client: OpenAI) -> None:
    (whole,), (cut,) = vectors(client, TEXTS[1]), vectors(client, TEXTS[1], dimensions=16)
    length = math.hypot(*whole[:16])
    assert cut == pytest.approx([value / length for value in whole[:16]], abs=1e-5)


@pytest.mark.parametrize(
    ("asked", "param", "words"),
    [
        ({"dimensions": 257}, "dimensions", "256"),
        ({"input": ["fine", ""]}, "input.1", "no tokens"),
        ({"input": [list(range(100)) * 50]}, "input.0", "4095"),
        ({"input": 5}, "input", "token ids"),
        ({"extra_body": {"cache_salt": "x"}}, "cache_salt", "not supported"),
    ],
)
def test_errors_name_the_field(client: OpenAI, asked: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(openai.BadRequestError, match=words) as caught:
        client.embeddings.create(**({"model": "portico-demo", "input": "x"} | asked))
    assert caught.value.param == param
