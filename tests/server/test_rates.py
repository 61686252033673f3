"""Rates of keys: what is over them is refused unread, and every answer tells what is left."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.config.keys import KeyTerms, key_digest
from portico.config.rates import RateLimits
from portico.errors import RequestError
from portico.protocol.messages import Add
from portico.server.rates import Bucket, Rates, duration
from portico.text.model import TextModel
from tests.server.fake_engine import Gate, Step, echo
from tests.server.harness import MODEL, SETTINGS, LiveServer, portico

LOCKED = replace(SETTINGS, api_keys=("one", "two"))
COMPLETION = {"model": MODEL, "prompt": "hello there", "max_tokens": 2}


def complete(server: LiveServer, key: str = "one") -> openai.types.Completion:
    return server.openai(key).completions.create(model=MODEL, prompt="hello there", max_tokens=2)


def test_requests_over_a_keys_rate_are_refused_unread_and_those_of_others_are_not(text_model: TextModel) -> None:
    with portico(text_model, replace(LOCKED, rates=RateLimits(requests=3))) as server:
        answers = [
            server.openai("one").completions.with_raw_response.create(model=MODEL, prompt="hello", max_tokens=1)
            for _ in range(3)
        ]
        assert [answer.headers["x-ratelimit-limit-requests"] for answer in answers] == ["3"] * 3
        assert answers[0].headers["x-ratelimit-remaining-requests"] == "2"
        with pytest.raises(openai.RateLimitError) as caught:
            complete(server)
        headers = caught.value.response.headers
        assert caught.value.code == "rate_limit_exceeded"
        assert 1 <= int(headers["retry-after"]) <= 20
        assert headers["x-ratelimit-remaining-requests"] == "0"
        assert headers["x-ratelimit-reset-requests"].endswith("s")
        key = {"authorization": "Bearer one"}
        assert server.http().post("/v1/completions", content=b"{not json", headers=key).status_code == 429
        assert server.http().get("/v1/models", headers=key).status_code == 200
        assert complete(server, "two").choices[0].finish_reason == "length"


def test_a_key_may_have_a_rate_of_its_own(text_model: TextModel) -> None:
    terms = {key_digest("one"): KeyTerms(rates=RateLimits(requests=1))}
    with portico(text_model, replace(LOCKED, key_terms=terms)) as server:
        complete(server, "one")
        with pytest.raises(openai.RateLimitError, match="1 requests in a minute"):
            complete(server, "one")
        complete(server, "two")
        complete(server, "two")


def test_tokens_are_reckoned_first_and_counted_as_they_were(text_model: TextModel) -> None:
    with portico(text_model, replace(LOCKED, rates=RateLimits(tokens=1000))) as server, ThreadPoolExecutor(1) as pool:
        gate = Gate()

        def held(add: Add) -> Iterable[Step]:
            yield gate
            yield from echo(add)

        server.engine.script = held
        running = pool.submit(complete, server)
        assert gate.reached.wait(20)
        assert (
            server.http()
            .post("/v1/completions", content=b"x" * 4000, headers={"authorization": "Bearer one"})
            .status_code
            == 429
        )
        gate.open()
        usage = running.result().usage
        assert usage is not None
        server.engine.script = echo
        told = server.openai("one").completions.with_raw_response.create(model=MODEL, prompt="hello", max_tokens=1)
        left = int(told.headers["x-ratelimit-remaining-tokens"])
        assert 1000 - usage.total_tokens - 60 <= left <= 1000 - usage.total_tokens
        assert "x-ratelimit-limit-requests" not in told.headers


def test_without_rates_nothing_is_said_of_them(server: LiveServer) -> None:
    answer = server.http().post("/v1/completions", json=COMPLETION)
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


def test_a_debt_is_filled_up_before_anything_is_let_in() -> None:
    now = 0.0
    rates = Rates(RateLimits(tokens=60), lambda: now)
    taken = rates.take(1, 10)
    assert taken == 10
    rates.spent(1, 90)
    rates.settle(1, 10)
    refused = rates.take(1, 1)
    assert isinstance(refused, RequestError)
    assert refused.counts["retry_after"] == 31
    now = 31.0
    assert rates.take(1, 1) == 1


def test_one_larger_than_a_minute_comes_in_when_nothing_else_was() -> None:
    now = 0.0
    rates = Rates(RateLimits(tokens=60), lambda: now)
    assert rates.take(1, 600) == 600
    refused = rates.take(1, 1)
    assert isinstance(refused, RequestError)
    now += refused.counts["retry_after"]
    assert rates.take(1, 1) == 1


@given(
    minute=st.integers(1, 1000),
    steps=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 50)), max_size=60),
)
def test_no_stretch_of_time_gets_more_than_its_share_and_a_full_bucket(
    minute: int, steps: list[tuple[float, int]]
) -> None:
    now, given_out = 0.0, 0.0
    bucket = Bucket(minute, lambda: now)
    for pause, amount in steps:
        now += pause
        if bucket.seconds_until(amount) == 0 and amount <= minute:
            bucket.take(amount)
            given_out += amount
        assert given_out <= minute + now * minute / 60 + 1e-6
        wait = bucket.seconds_until(amount)
        assert 0 <= wait <= 60 + 1e-6


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0ms"), (0.12, "120ms"), (1, "1s"), (8.64, "8.64s"), (360, "6m0s"), (72.5, "1m12.5s")]
)
def test_durations_are_written_as_openai_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
