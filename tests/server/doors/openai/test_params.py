from __future__ import annotations

import logging
from typing import Any

import pytest

from portico.server.doors.openai.params import CHAT_ONLY, NOT_HONOURED, STREAM_OPTIONS
from tests.server.harness import MODEL, LiveServer


def post(server: LiveServer, **fields: Any) -> Any:
    messages = [{"role": "user", "content": "hi"}]
    return server.http().post("/v1/chat/completions", json={"model": MODEL, "messages": messages, **fields})


def test_every_field_that_is_not_honoured_is_refused_by_name(server: LiveServer) -> None:
    for name in [*NOT_HONOURED, *CHAT_ONLY]:
        answer = post(server, **{name: "something"})
        assert answer.status_code == 400, name
        assert answer.json()["error"]["param"] == name
        assert answer.json()["error"]["code"] == "unsupported_parameter"
        assert name in answer.json()["error"]["message"]
    assert server.engine.added == []


def test_neutral_values_are_accepted(server: LiveServer) -> None:
    tables = {**NOT_HONOURED, **CHAT_ONLY}
    for name, values in tables.items():
        assert post(server, **{name: None}).status_code == 200, name
        for value in values:
            answer = post(server, **{name: value})
            assert (answer.status_code, name) == (200, name)
            assert "x-portico-ignored" not in answer.headers
    for name, values in STREAM_OPTIONS.items():
        assert post(server, stream=True, stream_options={name: values[0]}).status_code == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"best_of": 1}, 200),
        ({"best_of": 2, "n": 2}, 200),
        ({"best_of": 2}, 200),
        ({"best_of": True}, 400),
        ({"response_format": {"type": "text"}}, 200),
        ({"response_format": {"type": "json_object"}}, 200),
        ({"tool_choice": "required"}, 400),
        ({"logprobs": 0}, 400),
        ({"top_logprobs": False}, 400),
        ({"top_logprobs": 2}, 400),
        ({"top_logprobs": 0}, 200),
        ({"logprobs": True, "top_logprobs": 21}, 400),
        ({"length_penalty": 1.0}, 200),
    ],
)
def test_neutral_is_exactly_what_happens_anyway(server: LiveServer, fields: dict[str, Any], status: int) -> None:
    assert post(server, **fields).status_code == status


def test_harmless_fields_are_accepted_in_silence(server: LiveServer) -> None:
    answer = post(
        server, user="u", metadata={}, safety_identifier="s", prompt_cache_key="k", prompt_cache_retention="x"
    )
    assert answer.status_code == 200
    assert "x-portico-ignored" not in answer.headers


def test_a_field_nobody_knows_is_named_in_a_header_and_logged_once(
    server: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "portico.server"):
        for stream in (False, True, False):
            answer = post(server, zap=1, zip={"x": 2}, stream=stream, **{"bad\r\nname: é": 1})
            assert answer.status_code == 200
            assert answer.headers["x-portico-ignored"] == "zap, zip"
    assert sum("'zap'" in record.getMessage() for record in caplog.records) == 1
    assert not any("\n" in record.getMessage() for record in caplog.records)


def test_the_header_is_bounded(server: LiveServer) -> None:
    answer = post(server, **{f"field{number}": 1 for number in range(500)})
    assert answer.status_code == 200
    assert len(answer.headers["x-portico-ignored"]) < 1000
