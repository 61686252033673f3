"""A bounded queue: what is too much is refused before it is read, and told when to come again."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import openai
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from portico.config.queue import QueueLimits
from portico.protocol.messages import Add
from portico.server.admission import LONGEST_SECONDS, Admission
from portico.server.middleware import RequestIds
from portico.text.model import TextModel
from tests.server.fake_engine import Gate, Step, echo
from tests.server.harness import MODEL, SETTINGS, portico


def test_one_too_many_is_refused_unread_and_room_is_found_again(text_model: TextModel) -> None:
    gates: list[Gate] = []

    def held(add: Add) -> Iterable[Step]:
        gates.append(Gate())
        yield gates[-1]
        yield from echo(add)

    settings = replace(SETTINGS, queue=QueueLimits(requests=3, running=2))
    with portico(text_model, settings) as server, ThreadPoolExecutor(8) as pool:
        server.engine.script = held
        client = server.openai()

        def complete() -> openai.types.Completion:
            return client.completions.create(model=MODEL, prompt="hello", max_tokens=2)

        running = [pool.submit(complete) for _ in range(3)]
        with server.engine.changed:
            assert server.engine.changed.wait_for(lambda: len(server.engine.added) == 3, 20)
        with pytest.raises(openai.RateLimitError) as caught:
            complete()
        assert caught.value.code == "queue_full"
        assert int(caught.value.response.headers["retry-after"]) >= 1
        unreadable = server.http().post("/v1/chat/completions", content=b"{not json")
        assert unreadable.status_code == 429
        assert server.http().get("/health").status_code == 200
        assert server.http().post("/tokenize", json={"model": MODEL, "prompt": "hello"}).status_code == 200
        assert server.http().post("/stats").status_code == 200
        for gate in gates:
            gate.open()
        assert [future.result().choices[0].finish_reason for future in running] == ["length"] * 3
        server.engine.script = echo
        assert complete().choices[0].finish_reason == "length"
        assert len(server.engine.added) == 4


def test_tokens_are_limited_by_the_bodies_sizes_but_one_request_may_always_come(text_model: TextModel) -> None:
    gate = Gate()

    def held(add: Add) -> Iterable[Step]:
        yield gate
        yield from echo(add)

    settings = replace(SETTINGS, queue=QueueLimits(requests=9, running=9, tokens=100))
    with portico(text_model, settings) as server, ThreadPoolExecutor(2) as pool:
        server.engine.script = held
        body = {"model": MODEL, "prompt": "word " * 20, "max_tokens": 1, "user": "x" * 600}
        first = pool.submit(server.http().post, "/v1/completions", json=body)
        assert gate.reached.wait(20)
        second = server.http().post("/v1/completions", json=body)
        assert (second.status_code, "--max-queue-tokens" in second.text) == (429, True)
        gate.open()
        assert first.result().status_code == 200


def test_a_request_counts_as_the_answers_that_it_wants(text_model: TextModel) -> None:
    gates: list[Gate] = []

    def held(add: Add) -> Iterable[Step]:
        gates.append(Gate())
        yield gates[-1]
        yield from echo(add)

    def body(prompts: int, n: int) -> dict[str, object]:
        return {"model": MODEL, "prompt": ["hello"] * prompts, "n": n, "max_tokens": 1}

    settings = replace(SETTINGS, queue=QueueLimits(requests=8, running=4))
    with portico(text_model, settings) as server, ThreadPoolExecutor(4) as pool:
        server.engine.script = held

        def post(prompts: int, n: int) -> int:
            return server.http().post("/v1/completions", json=body(prompts, n)).status_code

        first = pool.submit(post, 2, 3)
        with server.engine.changed:
            assert server.engine.changed.wait_for(lambda: len(server.engine.added) == 2, 20)
        assert post(3, 1) == 429  # six are in, and three more would be one too many
        second = pool.submit(post, 1, 2)
        with server.engine.changed:
            assert server.engine.changed.wait_for(lambda: len(server.engine.added) == 3, 20)
        refused = server.http().post("/v1/completions", json=body(1, 1))
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        for gate in gates:
            gate.open()
        assert (first.result(), second.result()) == (200, 200)
        server.engine.script = echo
        assert post(3, 3) == 200  # more than all that may wait, but nothing waits
        assert post(1, 1) == 200  # and nothing of it is counted any more
        embedded = server.http().post("/v1/embeddings", json={"model": MODEL, "input": ["hello"] * 3})
        assert embedded.status_code != 429


@pytest.mark.parametrize("wish", ["n", "best_of", "num_beams"])
def test_a_wish_for_any_number_of_answers_costs_nothing(wish: str, text_model: TextModel) -> None:
    """Of a number of 30 bytes nothing may be made that has so many parts."""
    settings = replace(SETTINGS, queue=QueueLimits(requests=8, running=4))
    with portico(text_model, settings) as server, server.http() as http:
        for number in ("9" * 8, "9" * 30, "9" * 4000):
            body = f'{{"messages": [{{"role": "user", "content": "hello"}}], "max_tokens": 1, "{wish}": {number}}}'
            tracemalloc.start()
            answer = http.post("/v1/chat/completions", content=body)
            assert http.get("/health").status_code == 200  # once what is done behind the answer is over
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, wish)
            assert most < 2**22
        assert http.post("/v1/completions", json={"prompt": "hello", "max_tokens": 1}).status_code == 200


async def test_what_is_wrong_says_nothing_of_how_fast_the_queue_is() -> None:
    now = 0.0
    statuses = [200, 400] * 10

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal now
        status = statuses.pop()
        now += 2.0 if status == 200 else 0.0
        await Response(status_code=status)(scope, receive, send)

    admission = Admission(answered, QueueLimits(requests=10, running=1), clock=lambda: now)
    asked = RequestIds(admission)

    async def receive() -> dict[str, object]:
        return {}

    async def send(message: object) -> None:
        pass

    while statuses:
        await asked({"type": "http", "method": "POST", "path": "/v1/completions", "headers": []}, receive, send)
    assert admission.retry_after() == 2


async def test_the_estimate_follows_the_rate_at_which_requests_end() -> None:
    now = 0.0

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal now
        now += 2.0

    admission = Admission(answered, QueueLimits(requests=10, running=1), clock=lambda: now)
    asked = RequestIds(admission)
    assert admission.retry_after() == 1

    async def receive() -> dict[str, object]:
        return {}

    async def send(message: object) -> None:
        pass

    for _ in range(20):
        await asked({"type": "http", "method": "POST", "path": "/v1/completions", "headers": []}, receive, send)
    assert admission.retry_after() == 2
    now += 10**6
    assert admission.retry_after() == LONGEST_SECONDS
