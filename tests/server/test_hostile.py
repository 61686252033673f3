"""What clients send to break a server: each is refused with the name of the limit, and nothing is left behind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from portico.errors import RequestError
from portico.protocol.limits import LIMITS, InputLimits
from portico.server.json_shape import check_shape
from tests.server.harness import LiveServer

CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "hi"}]


def refused(server: LiveServer, path: str, body: dict[str, Any] | bytes) -> dict[str, Any]:
    """The error object of a body that must be refused."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = server.http().post(path, content=data)
    assert answer.status_code in (400, 413, 422), answer.text[:300]
    error: dict[str, Any] = answer.json()["error"]
    return error


def tool(name: str, **schema: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", **schema}}}


@pytest.mark.parametrize(
    ("path", "body", "param", "words"),
    [
        (CHAT, {"messages": HI * 4097}, "messages", "4096"),
        (CHAT, {"messages": HI, "stop": ["x"] * 17}, "stop", "16"),
        (CHAT, {"messages": HI, "stop": "x" * 4097}, "stop", "4096"),
        (CHAT, {"messages": HI, "stop_token_ids": [1] * 1025}, "stop_token_ids", "1024"),
        (CHAT, {"messages": HI, "bad_words": ["x" * 1025]}, "bad_words", "1024"),
        (CHAT, {"messages": HI, "logit_bias": {str(n): 1 for n in range(1025)}}, "logit_bias", "1024"),
        (CHAT, {"messages": HI, "tools": [tool(f"f{n}") for n in range(129)]}, "tools", "128"),
        (CHAT, {"messages": HI, "tools": [tool("f", description="x" * 2**20)]}, "tools", str(2**20)),
        (CHAT, {"messages": HI, "n": 129}, "n", "128"),
        (CHAT, {"messages": HI, "n": 128, "max_tokens": 2**16}, "max_tokens", str(2**15)),
        (CHAT, {"messages": HI, "best_of": 129}, "best_of", "128"),
        (CHAT, {"messages": HI, "num_beams": 65}, "num_beams", "64"),
        (CHAT, {"messages": HI, "cache_salt": "x" * 257}, "cache_salt", "256"),
        (CHAT, {"messages": HI, "metadata": {str(n): 1 for n in range(1025)}}, "metadata", "1024"),
        (CHAT, {"messages": HI, "guided_choice": ["x"] * 4097}, "guided_choice", "4096"),
        (CHAT, {"messages": HI, "guided_regex": "x" * (2**18 + 1)}, "guided_regex", str(2**18)),
        (CHAT, {"messages": HI, "seed": 10**400}, "seed", "seed"),
        (CHAT, {"messages": HI, "max_tokens": 10**30}, "max_tokens", "max_tokens"),
        (CHAT, {"messages": HI, "min_tokens": 10**30}, "min_tokens", str(2**22)),
        (CHAT, {"messages": HI, "repetition_penalty": 5e-324}, "repetition_penalty", "0.001"),
        (CHAT, {"messages": HI, "repetition_penalty": 1e308}, "repetition_penalty", "1000"),
        (CHAT, {"messages": HI, "stop_token_ids": [10**30]}, "stop_token_ids", "token id"),
        (CHAT, {"messages": HI, "logit_bias": {"9" * 5000: 1}}, "logit_bias", "token id"),
        ("/v1/completions", {"prompt": ["x"] * 2049}, "prompt", "2048"),
        ("/v1/completions", {"prompt": ["x"] * 2048, "n": 3}, "n", "4096"),
        ("/v1/completions", {"prompt": ["x"] * 1000, "max_tokens": 2**13}, "max_tokens", str(2**22)),
        ("/v1/completions", {"prompt": [10**30]}, "prompt.0", "token ids"),
        ("/v1/embeddings", {"input": ["x"] * 2049}, "input", "2048"),
        ("/tokenize", {"messages": HI * 4097}, "messages", "4096"),
        ("/detokenize", {"tokens": [10**30]}, "tokens.0", "token ids"),
    ],
)  # fmt: skip
def test_each_limit_is_named(server: LiveServer, path: str, body: dict[str, Any], param: str, words: str) -> None:
    error = refused(server, path, body)
    assert error["param"] == param
    assert words in error["message"]
    assert len(error["message"]) < 1000


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"messages": ' + b"[" * 129 + b"]" * 129 + b"}", "128 levels"),
        (b'{"a": ' * 100_000, "128 levels"),
        (b"[" * 4_000_000, "128 levels"),
        (b'{"prompt": [' + b"[]," * 100_001 + b"[]]}", "100000 lists"),
        (b"{" + b'"a":1,' * 100_001 + b'"b":1}', "100000 keys"),
        (b'{"prompt": "' + b'\\"' * 1_000_000, "not valid JSON"),
        (b'{"prompt": "\xed\xa0\x80"}', "UTF-8"),
        (b'{"prompt": "\\udc00\\ud800"}', "not valid JSON"),
        (b'{"prompt": "x", "temperature": Infinity}', "not valid JSON"),
        (b'{"prompt": "x", "temperature": 1e400}', "out of range"),
        (b'{"prompt": "x", "logit_bias": {"1": 1e400}}', "out of range"),
        (b"\x00" * 1000, "not valid JSON"),
        (b'\xff\xfe{\x00"\x00', "not valid"),
        (b"null", "object"),
    ],
)
def test_text_that_is_no_body(server: LiveServer, body: bytes, words: str) -> None:
    assert words in refused(server, "/v1/completions", body)["message"]


def test_what_is_strange_and_right_is_answered(server: LiveServer) -> None:
    """NUL, a long line, keys that come twice (the last counts), brackets in a text."""
    with server.http() as http:
        for prompt in ("\x00", "a" * 100, "[{" * 90, '\\"' * 50, "\ufffe\uffff", "\u202e"):
            answer = http.post("/v1/completions", json={"prompt": prompt, "max_tokens": 1})
            assert answer.status_code == 200, answer.text
        doubled = http.post("/v1/completions", content=b'{"prompt": "x", "max_tokens": -5, "max_tokens": 1}')
        assert doubled.status_code == 200


def test_a_megabyte_on_one_line_is_read_and_counted(server: LiveServer) -> None:
    error = refused(server, "/v1/completions", {"prompt": "a" * 2**20})
    assert error["code"] == "context_length_exceeded"


def test_the_shape_of_text_is_that_outside_of_strings() -> None:
    limits = InputLimits(json_depth=2, json_containers=3, json_keys=3)
    check_shape(b'{"a": ["[[[[{{{{::::\\"[[[["], "b\\\\": {"c": 1}}', limits)
    for text in (b"[[[1]]]", b"[[],[],[]]", b'{"a":1,"b":2,"c":3,"d":4}', b'["\\\\", [[]]]'):
        with pytest.raises(RequestError):
            check_shape(text, limits)
    check_shape(b'"' + b'\\"[' * 100_000, LIMITS)


def test_parts_that_would_be_fetched_are_refused(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in (
        {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest/meta-data"}},
        {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "file:///etc/passwd"}},
    ):
        error = refused(server, CHAT, {"messages": [{"role": "user", "content": [part]}]})
        assert error["param"] == "messages.0.content.0.type"
