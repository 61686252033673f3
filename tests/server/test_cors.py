"""Pages of other origins: nothing for them unless the options say so; then preflights, streams and refusals alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from portico.config.cors import CorsRules
from portico.text.model import TextModel
from tests.server.harness import MODEL, SETTINGS, LiveServer, portico

PAGE = "https://page.example"
KEY = {"Authorization": "Bearer k"}
BODY = {"model": MODEL, "prompt": "hi", "max_tokens": 3}
PREFLIGHT = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type",
}


@pytest.fixture(scope="module")
def open_server(text_model: TextModel) -> Iterator[LiveServer]:
    rules = CorsRules(origins=(PAGE,), methods=("POST",), credentials=True)
    with portico(text_model, replace(SETTINGS, api_keys=("k",), cors=rules)) as server:
        yield server


def test_without_the_options_a_browser_is_told_nothing(server: LiveServer) -> None:
    with server.http() as http:
        assert "access-control-allow-origin" not in http.get("/v1/models", headers={"Origin": PAGE}).headers
        assert http.options("/v1/completions", headers=PREFLIGHT).status_code == 405


def test_a_preflight_needs_no_key(open_server: LiveServer) -> None:
    with open_server.http() as http:
        answer = http.options("/v1/completions", headers=PREFLIGHT)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["access-control-allow-methods"] == "POST"
        assert "authorization" in answer.headers["access-control-allow-headers"]
        assert http.options("/v1/completions", headers=PREFLIGHT | {"Origin": "https://other"}).status_code == 400


@pytest.mark.parametrize("stream", [False, True])
def test_answers_and_streams_may_be_read(open_server: LiveServer, stream: bool) -> None:
    with open_server.http() as http:
        answer = http.post("/v1/completions", json=BODY | {"stream": stream}, headers=KEY | {"Origin": PAGE})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "x-request-id" in answer.headers["access-control-expose-headers"].lower()
        assert ("[DONE]" in answer.text) is stream


def test_refusals_may_be_read_too(open_server: LiveServer) -> None:
    with open_server.http() as http:
        for headers, status in (({}, 401), (KEY, 400)):
            answer = http.post("/v1/completions", json=BODY | {"max_tokens": -1}, headers=headers | {"Origin": PAGE})
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == PAGE


def test_another_origin_gets_no_leave(open_server: LiveServer) -> None:
    with open_server.http() as http:
        answer = http.get("/v1/models", headers=KEY | {"Origin": "https://other"})
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers


def test_any_origin(text_model: TextModel) -> None:
    with portico(text_model, replace(SETTINGS, cors=CorsRules())) as server, server.http() as http:
        assert http.get("/v1/models", headers={"Origin": PAGE}).headers["access-control-allow-origin"] == "*"
        asked = PREFLIGHT | {"Access-Control-Request-Method": "DELETE"}
        assert http.options("/v1/models", headers=asked).status_code == 200


def test_any_origin_never_gets_credentials(text_model: TextModel) -> None:
    """Neither by a cookie, at which a server may repeat the origin's name, nor in a preflight."""
    rules = CorsRules(credentials=True)
    with portico(text_model, replace(SETTINGS, cors=rules)) as server, server.http() as http:
        for answer in (
            http.get("/v1/models", headers={"Origin": PAGE, "Cookie": "session=1"}),
            http.options("/v1/completions", headers=PREFLIGHT),
        ):
            assert answer.status_code == 200
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in answer.headers
