from __future__ import annotations

import math
from operator import mul
from typing import Any

import pytest

from portico.protocol.messages import Add, TokenEvent
from portico.server.doors.vllm.schema import PAIRS
from tests.server.harness import MODEL, LiveServer

QUERY = "The capital of France"
TEXTS = ["cats", "The capital of France is Paris.", "capital"]


def letters(add: Add) -> list[list[TokenEvent]]:
    """The vector of a text counts its tokens by their remainder of 8."""
    counts = [float(sum(token % 8 == place for token in add.prompt_ids)) for place in range(8)]
    return [[TokenEvent(add.request_id, 0, [], "length", embedding=counts)]]


@pytest.fixture(autouse=True)
def embedding(server: LiveServer) -> None:
    server.engine.script = letters


def vector(server: LiveServer, text: str) -> list[float]:
    ids = server.text.tokenizer.encode(text, add_special_tokens=True)
    return [float(sum(token % 8 == place for token in ids)) for place in range(8)]


def alike(server: LiveServer, one: str, other: str) -> float:
    left, right = vector(server, one), vector(server, other)
    return sum(map(mul, left, right)) / math.hypot(*left) / math.hypot(*right)


def post(server: LiveServer, path: str, **fields: Any) -> dict[str, Any]:
    with server.http() as http:
        answer: dict[str, Any] = http.post(path, json={"model": MODEL, **fields}).json()
    return answer


def scores(server: LiveServer, **fields: Any) -> list[float]:
    answer = post(server, "/score", **fields)
    assert [item["index"] for item in answer["data"]] == list(range(len(answer["data"])))
    return [item["score"] for item in answer["data"]]


@pytest.mark.parametrize("path", ["/score", "/v1/score"])
def test_a_score_is_the_cosine_of_both_vectors(server: LiveServer, path: str) -> None:
    answer = post(server, path, text_1=QUERY, text_2=TEXTS[1])
    tokens = sum(len(add.prompt_ids) for add in server.engine.added)
    assert answer["object"] == "list"
    assert answer["model"] == MODEL
    assert answer["id"].startswith("score-")
    assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
    assert answer["data"] == [
        {"index": 0, "object": "score", "score": pytest.approx(alike(server, QUERY, TEXTS[1]))},
    ]


@pytest.mark.parametrize("names", PAIRS)
def test_one_with_several_and_pair_by_pair(server: LiveServer, names: tuple[str, str]) -> None:
    one, other = names
    assert scores(server, **{one: QUERY, other: TEXTS}) == pytest.approx([alike(server, QUERY, t) for t in TEXTS])
    assert len(server.engine.added) == 4
    mirrored = scores(server, **{one: TEXTS, other: TEXTS[::-1]})
    assert mirrored == pytest.approx([alike(server, a, b) for a, b in zip(TEXTS, TEXTS[::-1], strict=True)])
    assert scores(server, **{one: QUERY, other: QUERY}) == [pytest.approx(1)]


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_documents_come_in_the_order_of_their_scores(server: LiveServer, path: str) -> None:
    documents: list[Any] = [TEXTS[0], {"text": TEXTS[1]}, TEXTS[2]]
    answer = post(server, path, query=QUERY, documents=documents)
    found = [alike(server, QUERY, text) for text in TEXTS]
    order = sorted(range(3), key=lambda index: -found[index])
    assert answer["results"] == [
        {"index": index, "document": {"text": TEXTS[index]}, "relevance_score": pytest.approx(found[index])}
        for index in order
    ]
    assert answer["id"].startswith("rerank-")
    assert answer["model"] == MODEL
    assert answer["usage"]["total_tokens"] == sum(len(add.prompt_ids) for add in server.engine.added)
    (best,) = post(server, path, query=QUERY, documents=documents, top_n=1, return_documents=False)["results"]
    assert best == {"index": order[0], "relevance_score": pytest.approx(found[order[0]])}
    assert len(post(server, path, query=QUERY, documents=documents, top_n=9)["results"]) == 3


def test_texts_are_cut_where_asked(server: LiveServer) -> None:
    scores(server, text_1=QUERY, text_2="cats", truncate_prompt_tokens=1)
    assert [len(add.prompt_ids) for add in server.engine.added] == [1, 1]


@pytest.mark.parametrize(
    ("path", "fields", "param", "words"),
    [
        ("/score", {"text_1": "a"}, "text_1", "give text_1 and text_2"),
        ("/score", {}, "text_1", "give text_1 and text_2"),
        ("/score", {"text_1": "a", "documents": "b"}, "text_1", "no other"),
        ("/score", {"queries": "a", "documents": "b", "items": "c"}, "queries", "no other"),
        ("/score", {"text_1": ["a", "b"], "text_2": ["c"]}, "text_2", "1:1, 1:N or N:N"),
        ("/score", {"text_1": ["a", "b"], "text_2": "c"}, "text_2", "1:1, 1:N or N:N"),
        ("/score", {"text_1": [], "text_2": "b"}, "text_1", "At least one text element"),
        ("/score", {"text_1": "a", "text_2": []}, "text_2", "At least one text_pair element"),
        ("/score", {"text_1": "a", "text_2": ["b", ""]}, "text_2.1", "no tokens"),
        ("/score", {"text_1": "a", "text_2": 5}, "text_2", "text_2 is 5"),
        ("/score", {"text_1": "a", "text_2": "b" * 999}, "text_2", "255"),
        ("/score", {"text_1": "a", "text_2": "b", "model": "other"}, "model", "does not exist"),
        ("/score", {"text_1": "a", "text_2": "b", "cache_salt": "x"}, "cache_salt", "not supported"),
        ("/rerank", {"query": "a", "documents": []}, "documents", "At least one text_pair element"),
        ("/rerank", {"query": "a", "documents": ["b", {"title": "c"}]}, "documents.1.text", "missing"),
        ("/rerank", {"query": "a", "documents": ["x"] * 2049}, "documents", "at most 2048"),
        ("/rerank", {"query": "a", "documents": ["b"], "top_n": -1}, "top_n", "at least 0"),
        ("/rerank", {"documents": ["b"]}, "query", "missing"),
        ("/rerank", {"query": "a", "documents": ["b"], "max_tokens_per_doc": 9}, "max_tokens_per_doc", "not supported"),
    ],
)  # fmt: skip
def test_errors_name_the_field(server: LiveServer, path: str, fields: dict[str, Any], param: str, words: str) -> None:
    error = post(server, path, **fields)["error"]
    assert error["param"] == param
    assert words in error["message"]


def test_a_vector_of_zeros_is_like_nothing(server: LiveServer) -> None:
    server.engine.script = lambda add: [[TokenEvent(add.request_id, 0, [], "length", embedding=[0.0] * 8)]]
    assert scores(server, text_1="a", text_2="b") == [0]
