from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace

import httpx
import openai
import pytest
from starlette.routing import Route

from portico.config.compat import CompatName
from portico.server.app import create_app
from portico.text.model import TextModel
from tests.server.fake_engine import FakeEngine
from tests.server.harness import MODEL, SETTINGS, LiveServer, portico, running

KEYS = ("first-key", "zweiter-schlüssel")
LIMIT = 4096


@pytest.fixture(scope="module")
def locked(text_model: TextModel) -> Iterator[LiveServer]:
    with portico(text_model, replace(SETTINGS, api_keys=KEYS, max_body_bytes=LIMIT)) as server:
        yield server


def test_each_key_opens_the_server(locked: LiveServer) -> None:
    assert locked.openai("first-key").models.list().data[0].id == MODEL
    headers = {"authorization": b"bearer  " + KEYS[1].encode()}
    assert locked.http().get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize("key", ["none", "first-ke", "first-key2", "FIRST-KEY"])
def test_another_key_does_not(locked: LiveServer, key: str) -> None:
    answer = locked.http().get("/v1/models", headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "first" not in answer.text


def test_the_openai_client_raises_its_own_error(locked: LiveServer) -> None:
    with pytest.raises(openai.AuthenticationError):
        locked.openai("wrong").models.list()


OPEN = {"/health", "/ping", "/version"}


@pytest.mark.parametrize("compat", ["none", "mlc-chat"])
def test_every_route_but_three_needs_the_key(text_model: TextModel, compat: CompatName) -> None:
    settings = replace(SETTINGS, api_keys=KEYS, compat=compat, debug=True, tracing=True, abort_all=True)
    engine = FakeEngine()
    app = create_app(engine, text_model, settings)
    # FastAPI keeps some of its routes in groups; its document has those that are shown.
    routes = {route.path for route in app.routes if isinstance(route, Route)} | set(app.openapi()["paths"])
    assert {"/v1/chat/completions", "/openapi.json", "/docs", "/metrics", "/debug/reset_engine"} <= routes
    odd = {
        "/",
        "/nowhere",
        "/v1/chat/completions/",
        "//health",
        "/health/",
        "/health/x",
        "/HEALTH",
        "/%68ealth/..",
        "*",
    }
    with running(app, engine, text_model) as server, server.http() as client:
        for path in sorted(routes | odd):
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"):
                filled = re.sub(r"\{[^}]*\}", "x", path)
                answer = client.request(method, filled)
                assert (answer.status_code == 401) == (path not in OPEN), (method, path)
                assert "x-request-id" in answer.headers
    assert not engine.added


@pytest.mark.parametrize(
    ("headers", "opens"),
    [
        ({"authorization": "Bearer first-key"}, True),
        ({"authorization": "BEARER first-key"}, True),
        ({"x-api-key": "first-key"}, True),
        ({"x-api-key": KEYS[1].encode()}, True),
        ({"x-api-key": "first-key", "authorization": "Bearer another"}, True),
        ({"x-api-key": "another", "authorization": "Bearer first-key"}, True),
        ({"authorization": "Bearer"}, False),
        ({"authorization": "Basic first-key"}, False),
        ({"authorization": "first-key"}, False),
        ({"x-api-key": ""}, False),
        ({"x-api-key": "Bearer first-key"}, False),
        ({"x-api-key": "first-key,zweiter"}, False),
        ({"api-key": "first-key"}, False),
        ({"cookie": "authorization=first-key"}, False),
    ],
)
def test_where_a_key_may_stand(locked: LiveServer, headers: dict[str, str | bytes], opens: bool) -> None:
    answer = locked.http().get("/v1/models", headers=headers)  # type: ignore[arg-type]
    assert (answer.status_code == 200) == opens
    assert locked.http().get("/v1/models?api_key=first-key&key=first-key").status_code == 401


def test_no_answer_and_no_line_holds_a_key(locked: LiveServer, caplog: pytest.LogCaptureFixture) -> None:
    headers = {"authorization": "Bearer first-key"}
    with caplog.at_level(logging.DEBUG), locked.http() as client:
        for path in (
            "/server_info",
            "/server_info?config_format=json",
            "/metrics",
            "/openapi.json",
            "/health",
            "/load",
        ):
            answer = client.get(path, headers=headers)
            assert answer.status_code == 200
            assert not any(key in answer.text + str(answer.headers) for key in KEYS)
        for key in KEYS:
            answer = client.post("/v1/completions", content=b"{", headers={"x-api-key": f"{key}-not".encode()})
            assert answer.status_code == 401
            assert key not in answer.text
    assert not any(key in caplog.text for key in KEYS)


def test_a_body_over_the_limit_is_refused_by_its_announced_length(locked: LiveServer) -> None:
    headers = {"authorization": "Bearer first-key"}
    client = locked.http()
    for size, status in ((LIMIT, 400), (LIMIT + 1, 413), (5_000_000, 413)):
        answer = client.post("/v1/completions", content=b"x" * size, headers=headers)
        assert answer.status_code == status
    assert answer.json()["error"]["code"] == "request_too_large"
    assert client.get("/health").status_code == 200


def test_a_chunked_body_is_refused_once_it_has_grown_too_large(locked: LiveServer) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(50):
            yield b"x" * 100_000

    headers = {"authorization": "Bearer first-key"}
    answer = locked.http().post("/v1/completions", content=pieces(), headers=headers)
    assert answer.status_code == 413
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_the_limit_and_the_key_come_before_parsing(locked: LiveServer) -> None:
    answer = locked.http().post("/v1/completions", content=b"{" * 10_000)
    assert answer.status_code == 401


def test_a_clients_id_is_echoed_and_never_used_inside(server: LiveServer) -> None:
    body = {"model": MODEL, "prompt": "Hello"}
    answer = server.http().post("/v1/completions", json=body, headers={"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.json()["id"].startswith("cmpl-")
    assert server.engine.added[0].request_id == answer.json()["id"]


@pytest.mark.parametrize("theirs", ["", "a b", "x" * 129, "é", "a\tb", '<script>"'])
def test_an_id_that_is_unfit_for_a_header_is_replaced(server: LiveServer, theirs: str) -> None:
    answer = server.http().get("/v1/models", headers={"x-request-id": theirs.encode()})
    assert answer.headers["x-request-id"].startswith("req-")


def test_errors_have_an_id_too(server: LiveServer) -> None:
    client = server.http()
    answers: list[httpx.Response] = [
        client.get("/nowhere"),
        client.get("/v1/completions"),
        client.post("/v1/completions", content=b"{"),
    ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == 3
    with pytest.raises(openai.BadRequestError) as caught:
        server.openai().completions.create(model=MODEL, prompt=[])
    assert caught.value.request_id is not None


def test_a_request_is_logged_with_its_id(server: LiveServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "portico.server"):
        answer = server.http().post("/v1/completions", json={"prompt": "Hello"})
        server.http().get("/health")
        server.http().get("/v1/models/x%0aforged")
    lines = [record.getMessage() for record in caplog.records if record.name == "portico.server.middleware"]
    assert any(line.startswith(f"{answer.json()['id']}: POST '/v1/completions' 200 in ") for line in lines)
    assert not any("/health" in line or "\n" in line for line in lines)
