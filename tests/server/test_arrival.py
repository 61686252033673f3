"""A request has to arrive: half of one holds no place for ever, at whatever door."""

from __future__ import annotations

import select
import socket
from dataclasses import replace

import pytest

from portico.config.keys import KeyTerms, key_digest
from portico.config.queue import QueueLimits
from portico.text.model import TextModel
from tests.server.harness import SETTINGS, LiveServer, portico

PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/generate", "/v1/chat/interactive", "/v1/embeddings")
HALVES = (b"Content-Length: 500\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")


def ask(server: LiveServer, path: str, rest: bytes) -> socket.socket:
    client = socket.create_connection((server.host, server.port), timeout=20)
    client.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n" % path.encode() + rest)
    return client


@pytest.mark.parametrize("half", HALVES)
def test_half_a_body_is_a_408_and_its_place_is_free(
    text_model: TextModel, monkeypatch: pytest.MonkeyPatch, half: bytes
) -> None:
    monkeypatch.setattr("portico.server.arrival.BODY_SECONDS", 0.3)
    with portico(text_model, replace(SETTINGS, queue=QueueLimits(requests=len(PATHS), running=1))) as server:
        for client in [ask(server, path, half) for path in PATHS]:
            with client:
                answer = b"".join(iter(lambda client=client: client.recv(65536), b""))  # to its end: it is closed
            assert answer.startswith(b"HTTP/1.1 408"), answer
            assert b"0.3 s after its headers" in answer
        assert server.http().post("/v1/completions", json={"prompt": "x", "max_tokens": 1}).status_code == 200


@pytest.mark.parametrize("by", ["server", "header", "key"])
def test_a_deadline_counts_while_the_body_is_awaited(text_model: TextModel, by: str) -> None:
    settings = replace(SETTINGS, api_keys=("k",), request_timeout=0.2 if by == "server" else 0.0)
    if by == "key":
        settings = replace(settings, key_terms={key_digest("k"): KeyTerms(request_timeout=0.2)})
    header = b"X-Request-Timeout: 0.2\r\n" if by == "header" else b""
    with portico(text_model, settings) as server:
        for path in PATHS:
            with ask(server, path, header + HALVES[0]) as client:
                answer = b""
                while b"within 0.2 s of its arrival" not in answer and (more := client.recv(65536)):
                    answer += more
            assert answer.startswith(b"HTTP/1.1 504"), answer
            assert more


def test_all_bodies_together_have_a_limit(text_model: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portico.server.app.LARGEST_BODIES", 3)
    with portico(text_model, replace(SETTINGS, max_body_bytes=1000)) as server:
        part = b"Content-Length: 1000\r\n\r\n" + b'{"prompt": "' + b"x" * 600
        clients = [ask(server, "/v1/completions", part) for _ in range(7)]
        refused = select.select(clients, [], [], 20)[0][0]
        answer = refused.recv(65536)
        assert answer.startswith(b"HTTP/1.1 429")
        assert b"retry-after: 1" in answer
        for client in clients:
            client.close()
        whole = {"prompt": "x", "max_tokens": 1}
        while server.http().post("/tokenize", json={"prompt": "x" * 900}).status_code == 429:
            pass
        assert server.http().post("/v1/completions", json=whole).status_code == 200
