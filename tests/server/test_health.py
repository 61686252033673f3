from __future__ import annotations

import openai
import pytest

from tests.server.harness import MODEL, LiveServer


def test_a_loaded_engine_is_healthy(server: LiveServer) -> None:
    answer = server.http().get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


@pytest.mark.parametrize(("failed", "reason"), [(None, "being loaded"), ("killed by signal 9", "killed by signal 9")])
def test_an_engine_that_cannot_work_is_not(server: LiveServer, failed: str | None, reason: str) -> None:
    server.engine.limits, server.engine.why_failed = None, failed
    answer = server.http().get("/health")
    assert answer.status_code == 503
    assert reason in answer.json()["reason"]
    with pytest.raises(openai.InternalServerError, match=reason) as caught:
        server.openai().completions.create(model=MODEL, prompt="Hello")
    assert caught.value.status_code == 503


def test_how_far_loading_is(server: LiveServer) -> None:
    server.engine.limits = None
    for path in ("/health", "/ping"):
        answer = server.http().get(path)
        assert answer.status_code == 503
        state = answer.json()
        assert (state["status"], state["stage"], state["progress"]) == ("loading", "reading the weights", 0.42)


def test_the_version(server: LiveServer) -> None:
    assert server.http().get("/version").json() == {"version": "1.2.3"}
