from __future__ import annotations

import pytest

from portico.errors import RequestError
from portico.server.errors import error_body
from tests.server.harness import LiveServer


def test_an_unknown_path(server: LiveServer) -> None:
    answer = server.http().get("/v1/nothing")
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "message": "There is no /v1/nothing here; GET /openapi.json lists what there is.",
        "type": "invalid_request_error",
        "param": None,
        "code": "not_found",
    }


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [("GET", "/v1/chat/completions", "POST"), ("DELETE", "/v1/models", "GET"), ("PUT", "/health", "GET")],
)
def test_a_wrong_method(server: LiveServer, method: str, path: str, allow: str) -> None:
    answer = server.http().request(method, path)
    assert answer.status_code == 405
    assert allow in answer.headers["allow"]
    assert answer.json()["error"]["code"] == "method_not_allowed"
    assert allow in answer.json()["error"]["message"]


def test_a_message_may_quote_what_has_no_utf8_form() -> None:
    assert b"bad ?" in error_body(RequestError("bad \ud800"))
