"""Clients that go on sending after their answer: they can read it, and are not listened to for ever."""

from __future__ import annotations

import gc
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import RequestResponseCycle

from portico.config.tls import TlsFiles
from portico.server import linger
from portico.server.app import create_app
from portico.server.linger import LingeringTransport
from portico.server.middleware import RequestContext
from portico.text.model import TextModel
from tests.certificates import self_signed
from tests.server.fake_engine import FakeEngine
from tests.server.harness import SETTINGS, LiveServer, running

LIMIT = 1000
CHUNK = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
WATCHDOG = 60.0
"""Seconds after which a server that goes on reading is taken for one that never stops."""
BRIEF = 0.2


@pytest.fixture
def server(text_model: TextModel) -> Iterator[LiveServer]:
    settings = replace(SETTINGS, api_keys=("key",), max_body_bytes=LIMIT)
    engine = FakeEngine()
    app = create_app(engine, text_model, settings)
    with running(app, engine, text_model, drain_seconds=10 * WATCHDOG) as server:
        yield server


def head(key: str = "key", body: str = "transfer-encoding: chunked") -> bytes:
    return f"POST /v1/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n{body}\r\n\r\n".encode()


def connected(server: LiveServer) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=WATCHDOG)


def send_until_it_breaks(connection: socket.socket) -> None:
    """Send chunks without end; the connection's end is the only way out."""
    end = time.monotonic() + WATCHDOG
    while time.monotonic() < end:
        try:
            connection.sendall(CHUNK)
        except OSError:  # reset or broken, as it comes
            return
    pytest.fail("the server goes on reading")


def read_all(connection: socket.socket) -> bytes:
    """What comes until the end, be it a reset."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except OSError:
        pass
    return received


def read_answer(connection: socket.socket) -> bytes:
    """One answer of a connection that goes on."""
    received = b""
    while b"}}" not in received:  # the end of an error object
        received += connection.recv(65536)
    return received


def answer_of(received: bytes) -> tuple[bytes, bytes, int]:
    """Headers and body of an answer, and how long the body should be."""
    top, _, body = received.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in top.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return top.lower(), body, int(lengths[0])


@pytest.mark.parametrize(("key", "status"), [("key", b"413"), ("wrong", b"401")])
def test_a_body_without_end_is_not_read_without_end(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch, key: str, status: bytes
) -> None:
    """Read while it is sent, the answer is whole, whatever becomes of the rest."""
    monkeypatch.setattr(linger, "SECONDS", BRIEF)
    with connected(server) as connection:
        connection.sendall(head(key))
        received: list[bytes] = []
        reader = threading.Thread(target=lambda: received.append(read_all(connection)))
        reader.start()
        send_until_it_breaks(connection)
        reader.join()
    top, body, length = answer_of(received[0])
    assert (top.split()[1], len(body)) == (status, length)
    assert (b"connection: close" in top) == (status == b"413")
    with server.http() as http:
        assert http.get("/health").status_code == 200


def test_over_tls_too(text_model: TextModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(linger, "SECONDS", BRIEF)
    key, certificate = self_signed(tmp_path)
    engine = FakeEngine()
    app = create_app(engine, text_model, replace(SETTINGS, max_body_bytes=LIMIT))
    context = ssl.create_default_context(cafile=certificate)
    with (
        running(app, engine, text_model, tls=TlsFiles(key, certificate)) as server,
        connected(server) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(head())
        send_until_it_breaks(connection)


@pytest.mark.parametrize("announced", [True, False])
def test_who_reads_only_after_all_is_sent_gets_the_refusal_whole(server: LiveServer, announced: bool) -> None:
    """The server has ended its side long before, and does not reset the connection under what it said."""
    size = 100 * len(CHUNK)
    with connected(server) as connection:
        connection.sendall(head(body=f"content-length: {size}" if announced else "transfer-encoding: chunked"))
        for _ in range(100):
            connection.sendall(CHUNK)
        if not announced:
            connection.sendall(b"0\r\n\r\n")
        received = b""
        while piece := connection.recv(65536):  # a reset raises
            received += piece
    top, body, length = answer_of(received)
    assert (top.split()[1], len(body)) == (b"413", length)
    assert b"connection: close" in top


def test_a_connection_goes_on_where_the_rest_of_a_refused_body_comes(server: LiveServer) -> None:
    """A refusal by headers alone is no reason to lose the connection."""
    with connected(server) as connection:
        connection.sendall(head("wrong", "content-length: 10"))
        first = read_answer(connection)
        connection.sendall(b"x" * 10 + b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        second = read_all(connection)
    _, body, length = answer_of(first)
    assert (first.split()[1], len(body)) == (b"401", length)
    assert second.split()[1] == b"200"


@pytest.mark.parametrize(("key", "status"), [("key", b"413"), ("wrong", b"401")])
def test_a_server_that_stops_waits_for_no_endless_body(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch, key: str, status: bytes
) -> None:
    monkeypatch.setattr(linger, "SECONDS", 10 * WATCHDOG)
    with connected(server) as connection:
        connection.sendall(head(key) + CHUNK)
        assert connection.recv(12).endswith(status)
        server.ask_to_stop()
        server.thread.join(WATCHDOG)
        assert not server.thread.is_alive()


def test_connections_that_are_gone_leave_nothing_for_the_garbage_collector(text_model: TextModel) -> None:
    """What it has to find it looks for in pauses of every stream."""
    engine = FakeEngine()
    body = b'{"prompt": "hi", "max_tokens": 2, "stream": true}'
    ask = head(body=f"content-length: {len(body)}\r\nconnection: close") + body
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        with running(create_app(engine, text_model, SETTINGS), engine, text_model) as server:
            for sent in (ask, ask.replace(b"max_tokens", b"max_tokenz"), ask.replace(b"/completions", b"/nothing")):
                with connected(server) as connection:
                    connection.sendall(sent)
                    assert read_all(connection)
        gc.collect()
        found = [type(thing) for thing in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not {LingeringTransport, RequestResponseCycle, FlowControl, RequestContext}.intersection(found)
