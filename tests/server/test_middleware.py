from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import httpx
import openai
import pytest

from portico.text.model import TextModel
from tests.server.harness import MODEL, SETTINGS, LiveServer, portico

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


def test_every_route_but_three_needs_the_key(locked: LiveServer) -> None:
    paths = locked.http().get("/openapi.json", headers={"authorization": "Bearer first-key"}).json()["paths"]
    client = locked.http()
    for path in [*paths, "/openapi.json", "/docs", "/nowhere", "/v1/chat/completions/", "//health", "/health/"]:
        for method in ("GET", "POST", "DELETE", "OPTIONS"):
            open_to_all = path in ("/health", "/ping", "/version")
            assert (client.request(method, path).status_code == 401) != open_to_all, (method, path)
    assert client.get("/v1/models", headers={"authorization": "Bearer"}).status_code == 401
    assert client.get("/v1/models", headers={"authorization": "Basic first-key"}).status_code == 401
    assert client.get("/v1/models", headers={"x-api-key": "first-key"}).status_code == 401


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
