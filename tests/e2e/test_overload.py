"""More than a real server can do: what is late is ended, what is too much is refused, and what runs says the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.e2e.serving import Server, serving

LONG = {"prompt": "Once upon a time", "max_tokens": 1500, "ignore_eos": True, "temperature": 0}
SHORT = {"prompt": "The capital of France is", "max_tokens": 24, "temperature": 1, "seed": 7, "ignore_eos": True}
KEYS = ("one", "two", "three")


@pytest.fixture(scope="module")
def narrow() -> Iterator[Server]:
    """A server with two places and room for four to wait."""
    flags = ("--max-num-seqs", "2", "--max-queue", "4", "--kv-cache-memory", "64MiB", "--api-keys", *KEYS)
    with serving(*flags, "--priority-key", "chief") as server:
        yield server


def post(server: Server, body: dict[str, Any], key: str = "one", **headers: str) -> httpx.Response:
    with client(server) as http:
        return ask(http, body, key, **headers)


def client(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, timeout=60, trust_env=False, verify=False)


def ask(http: httpx.Client, body: dict[str, Any], key: str, **headers: str) -> httpx.Response:
    return http.post("/v1/completions", json=body, headers={"authorization": f"Bearer {key}"} | headers)


def blocks_used(server: Server) -> int:
    answer = httpx.get(f"{server.url}/health")
    assert answer.status_code == 200
    used: int = answer.json()["blocks_used"]
    return used


def test_a_late_stream_ends_with_an_error_and_holds_nothing(narrow: Server) -> None:
    answer = post(narrow, LONG | {"n": 2, "stream": True}, **{"x-request-timeout": "0.5"})
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert json.loads(events[-2])["error"]["code"] == "request_timeout"
    assert events[-1] == "[DONE]"
    assert post(narrow, SHORT).status_code == 200  # the engine has made steps since
    assert blocks_used(narrow) == 0


def test_waiting_counts_too(narrow: Server) -> None:
    """Two endless streams have both places: what waits behind them is late before it has begun."""
    headers = {"authorization": "Bearer one"}
    with httpx.Client(base_url=narrow.url, headers=headers, timeout=60) as http, ExitStack() as streams:
        for _ in range(2):
            stream = streams.enter_context(http.stream("POST", "/v1/completions", json=LONG | {"stream": True}))
            pieces = stream.iter_raw()
            next(pieces)
            streams.callback(pieces.close)  # forgotten, it would end the stream
        late = post(narrow, SHORT, **{"x-request-timeout": "0.2"})
        assert (late.status_code, late.json()["error"]["code"]) == (504, "request_timeout")


def test_an_overloaded_server_says_what_it_says_at_rest_or_429(narrow: Server) -> None:
    at_rest = post(narrow, SHORT).json()["choices"]

    with client(narrow) as http, ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(
                lambda number: ask(http, SHORT | {"priority": number % 5 - 2}, [*KEYS, "chief"][number % 4]), range(80)
            )
        )
    assert {answer.status_code for answer in answers} == {200, 429}
    for answer in answers:
        if answer.status_code == 200:
            assert answer.json()["choices"] == at_rest
        else:
            assert int(answer.headers["retry-after"]) >= 1
    assert post(narrow, SHORT).json()["choices"] == at_rest
    assert blocks_used(narrow) == 0
