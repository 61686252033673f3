"""Errors in Anthropic's shape, whoever makes them, and as Anthropic's client raises them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anthropic
import httpx
import pytest

from portico.config.queue import QueueLimits
from portico.server.doors.messages.errors import error_shape
from portico.server.errors import shutting_down
from portico.text.model import TextModel
from tests.server.doors.messages.conftest import HI, client_of
from tests.server.fake_engine import LOADED, Gate, echo
from tests.server.harness import MODEL, SETTINGS, LiveServer, portico

KEY = "secret"
THEIRS = {"anthropic-version": "2023-06-01"}


def ask(client: anthropic.Anthropic, **more: Any) -> anthropic.types.Message:
    body: Any = {"model": MODEL, "max_tokens": 2, "messages": HI, **more}
    return client.messages.create(**body)


def loading(server: LiveServer) -> None:
    server.engine.limits = None


@pytest.mark.parametrize(
    ("spoil", "body", "kind", "name"),
    [
        (None, {"model": "other"}, anthropic.NotFoundError, "not_found_error"),
        (None, {"max_tokens": -1}, anthropic.BadRequestError, "invalid_request_error"),
        (loading, {}, anthropic.InternalServerError, "overloaded_error"),
    ],
)
def test_the_client_raises_its_own_errors(
    server: LiveServer,
    client: anthropic.Anthropic,
    spoil: Callable[[LiveServer], None] | None,
    body: Any,
    kind: Any,
    name: str,
) -> None:
    if spoil is not None:
        spoil(server)
    with pytest.raises(kind) as caught:
        ask(client, **body)
    told = caught.value.body
    assert (told["type"], told["error"]["type"]) == ("error", name)
    assert told["error"].keys() == {"type", "message"}
    assert told["request_id"] == caught.value.request_id == caught.value.response.headers["x-request-id"]


def shape(answer: httpx.Response) -> tuple[int, Any]:
    """The status of an answer, and the type of its error if it has Anthropic's shape."""
    told = answer.json()
    return answer.status_code, told["error"]["type"] if told.get("type") == "error" else None


def test_keys_and_what_is_answered_before_a_door_sees_it(text_model: TextModel) -> None:
    gate = Gate()
    limits = replace(
        SETTINGS, api_keys=(KEY,), max_body_bytes=1000, queue=QueueLimits(requests=1, running=1), model_names=(MODEL,)
    )
    with portico(text_model, limits) as server:
        server.engine.limits = LOADED
        assert ask(client_of(server, KEY)).usage.output_tokens == 2
        bearer = anthropic.Anthropic(base_url=server.url, auth_token=KEY, api_key=None, max_retries=0)
        assert bearer.models.list().data[0].id == MODEL
        with pytest.raises(anthropic.AuthenticationError):
            ask(client_of(server, "wrong"))
        http = server.http()
        assert shape(http.post("/v1/messages", json={})) == (401, "authentication_error")
        assert shape(http.get("/v1/models", headers=THEIRS)) == (401, "authentication_error")
        assert shape(http.get("/v1/models")) == (401, None)
        http.headers["x-api-key"] = KEY
        assert shape(http.post("/v1/messages", content=b"x" * 1001)) == (413, "request_too_large")
        assert shape(http.post("/v1/chat/completions", content=b"x" * 1001)) == (413, None)
        assert shape(http.post("/v1/messages", content=b"{")) == (400, "invalid_request_error")
        assert shape(http.get("/v1/messages")) == (405, "invalid_request_error")
        assert shape(http.get("/v1/messages/batches")) == (404, "not_found_error")
        assert shape(http.get("/v1/files", headers=THEIRS)) == (404, "not_found_error")
        assert shape(http.get("/v1/files")) == (404, None)
        server.engine.script = lambda add: [gate, *echo(add)]
        with ask(client_of(server, KEY), stream=True):  # type: ignore[attr-defined]
            server.engine.wait_for(lambda: bool(server.engine.running))
            with pytest.raises(anthropic.RateLimitError) as caught:
                ask(client_of(server, KEY))
            assert int(caught.value.response.headers["retry-after"]) >= 1
            count = client_of(server, KEY).messages.count_tokens(model=MODEL, messages=HI)
            assert count.input_tokens > 0
            gate.open()


def test_a_crash_is_told_in_the_same_shape(server: LiveServer, client: anthropic.Anthropic) -> None:
    def crash(add: object) -> Any:
        raise RuntimeError("secret")

    server.engine.script = crash
    with pytest.raises(anthropic.InternalServerError) as caught:
        ask(client)
    assert "secret" not in str(caught.value)
    assert caught.value.body["error"]["type"] == "api_error"  # type: ignore[index]
    with pytest.raises(anthropic.APIStatusError, match="api_error"):
        list(ask(client, stream=True))


def test_threads_are_refused_so_that_the_client_goes_on_without(
    server: LiveServer, client: anthropic.Anthropic
) -> None:
    thread: Any = client.beta.messages.thread(
        model=MODEL, max_tokens=2, messages=HI, unsupported_request_behavior="continue_unthreaded"
    )
    assert thread.send().usage.output_tokens == 2
    assert thread.send({"role": "user", "content": "And now?"}).usage.output_tokens == 2
    assert len(server.engine.added) == 2


def test_a_server_that_stops_answers_before_there_is_an_id() -> None:
    shape = error_shape({"type": "http", "path": "/v1/messages", "headers": []})
    assert shape is not None
    status, body = shape(shutting_down())
    told = {"type": "overloaded_error", "message": "The server is shutting down."}
    assert (status, json.loads(body)) == (503, {"type": "error", "error": told, "request_id": None})


def test_the_client_may_name_the_request(server: LiveServer) -> None:
    answer = server.http().post("/v1/messages", json={}, headers={"x-request-id": "mine"})
    assert answer.json()["request_id"] == answer.headers["request-id"] == "mine"
