from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace

import httpx
import pytest

from portico.config.compat import CompatName
from portico.errors import ConfigError
from portico.protocol.limits import LIMITS
from portico.protocol.messages import TokenEvent
from portico.server.serve import bind
from portico.text.model import TextModel
from tests.server.fake_engine import Gate
from tests.server.harness import SETTINGS, portico

KEY = {"authorization": "Bearer k"}
PROGRAM = """
import asyncio
from portico.server.serve import bind, serve

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/health":
        await send({"type": "http.response.body", "body": b""})
        return
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    try:
        await asyncio.sleep(3600)
    finally:
        print("cleaned up", flush=True)

async def main():
    listener = bind("127.0.0.1", 0)
    say = lambda: print(listener.getsockname()[1], flush=True)
    await serve(app, listener, drain_seconds=DRAIN, on_ready=say)

asyncio.run(main())
print("returned", flush=True)
"""


def test_an_address_in_use_is_one_clear_line() -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"Cannot listen at 127\.0\.0\.1:{port}: Address already in use"):
            bind("127.0.0.1", port)


def test_an_impossible_host_is_one_clear_line() -> None:
    with pytest.raises(ConfigError, match="Cannot listen at no such host:1"):
        bind("no such host", 1)


def test_ipv6_loopback_is_an_address_too() -> None:
    with bind("::1", 0) as listener:
        assert listener.getsockname()[0] == "::1"


@pytest.mark.parametrize("compat", ["none", "lmdeploy"])
def test_running_requests_end_and_new_ones_are_refused_while_draining(
    text_model: TextModel, compat: CompatName
) -> None:
    gate = Gate()
    settings = replace(SETTINGS, api_keys=("k",), compat=compat)
    with portico(text_model, settings, drain_seconds=30) as server:
        server.engine.script = lambda add: [gate, [TokenEvent(add.request_id, 0, [40], "length")]]
        answers: list[httpx.Response] = []
        body = {"prompt": "Hello"}
        asking = threading.Thread(
            target=lambda: answers.append(server.http().post("/v1/completions", json=body, headers=KEY))
        )
        asking.start()
        assert gate.reached.wait(20)
        kept = server.http()
        assert kept.get("/health").status_code == 200
        server.ask_to_stop()
        while kept.get("/health").status_code == 200:
            pass
        for asked in (kept, server.http()):  # the connection that was open, and a new one
            for path in ("/health", "/ping"):
                assert asked.get(path).json() == {"status": "unavailable", "reason": "The server is shutting down."}
            for path in ("/v1/completions", "/v1/chat/completions", "/generate", "/tokenize"):
                refused = asked.post(path, json=body, headers=KEY)
                assert refused.status_code == 503
                assert not [name for name in refused.headers if name.startswith("x-portico")]
                assert 1 <= int(refused.headers["retry-after"]) <= 30
                assert refused.headers["connection"] == "close"
                assert "shutting down" in refused.text
            assert asked.get("/v1/chat/completions", headers=KEY).status_code == 503  # MLC-Chat's may come so
            assert asked.get("/metrics", headers=KEY).status_code == 200
            assert asked.get("/metrics").status_code == 401
        gate.open()
        asking.join(20)
        server.thread.join(20)
        assert not server.thread.is_alive()
        assert answers[0].status_code == 200
        assert answers[0].json()["choices"][0]["finish_reason"] == "length"
        assert len(server.engine.added) == 1
        assert server.engine.cancelled == []


@pytest.mark.parametrize("stream", [False, True])
def test_requests_that_do_not_end_are_cancelled_and_told(text_model: TextModel, stream: bool) -> None:
    gate = Gate()
    with portico(text_model, drain_seconds=0.1) as server:
        server.engine.script = lambda add: [gate]
        answers: list[httpx.Response] = []
        body = {"prompt": "Hello", "stream": stream}
        asking = threading.Thread(target=lambda: answers.append(server.http().post("/v1/completions", json=body)))
        asking.start()
        assert gate.reached.wait(20)
        server.ask_to_stop()
        server.thread.join(20)
        asking.join(20)
        assert server.engine.cancelled == [(server.engine.added[0].request_id, None)]
        assert answers[0].status_code == (200 if stream else 503)
        assert '"code":"shutting_down"' in answers[0].text
        assert answers[0].text.endswith("data: [DONE]\n\n") == stream


@pytest.mark.parametrize(("number", "drain", "times"), [(signal.SIGTERM, "0.1", 1), (signal.SIGINT, "60", 2)])
def test_signals_end_the_server_and_the_caller_goes_on(number: signal.Signals, drain: str, times: int) -> None:
    """A second signal does not wait for the drain; neither kills the process before the caller has cleaned up."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    program = [sys.executable, "-c", PROGRAM.replace("DRAIN", drain)]
    pipe = subprocess.PIPE
    with subprocess.Popen(program, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            port = int(process.stdout.readline())
            with httpx.stream("GET", f"http://127.0.0.1:{port}/", timeout=30) as answer:
                assert next(answer.iter_bytes()) == b"one"
                process.send_signal(number)
                if times == 2:
                    while httpx.get(f"http://127.0.0.1:{port}/health").status_code != 503:
                        pass
                    process.send_signal(number)
                rest = process.stdout.read()
            assert process.wait(30) == 0
            assert rest == "cleaned up\nreturned\n"
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()


def test_endless_headers_are_refused(text_model: TextModel) -> None:
    with portico(text_model) as server, socket.create_connection((server.host, server.port), timeout=20) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * (LIMITS.header_bytes + 1))
        with contextlib.suppress(ConnectionResetError):  # the server may close before it has read all
            answer = b"".join(iter(lambda: client.recv(65536), b""))
            assert answer.startswith(b"HTTP/1.1 400")
            assert str(LIMITS.header_bytes).encode() in answer
        assert server.http().get("/health").status_code == 200


@pytest.mark.parametrize("begun", [b"", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: x\r\n"])
@pytest.mark.parametrize("before", [0, 1])
def test_a_connection_that_never_asks_is_closed(
    text_model: TextModel, monkeypatch: pytest.MonkeyPatch, begun: bytes, before: int
) -> None:
    """Also behind an answer: bytes that come keep a connection from being idle."""
    monkeypatch.setattr("portico.server.connections.HEAD_SECONDS", 0.2)
    with portico(text_model) as server, socket.create_connection((server.host, server.port), timeout=20) as client:
        for _ in range(before):
            client.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b'"1.2.3"}'):
                answer += client.recv(65536)
        client.sendall(begun)
        assert client.recv(65536) == b""
        assert server.http().get("/health").status_code == 200


def test_a_request_that_runs_long_is_not_taken_for_one_that_does_not_come(
    text_model: TextModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portico.server.connections.HEAD_SECONDS", 0.05)
    gate = Gate()
    with portico(text_model) as server, socket.create_connection((server.host, server.port), timeout=20) as client:
        server.engine.script = lambda add: [gate, [TokenEvent(add.request_id, 0, [40], "length")]]
        body = b'{"prompt": "Hello"}'
        client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert gate.reached.wait(20)
        with socket.create_connection((server.host, server.port), timeout=20) as silent:
            assert silent.recv(1) == b""  # so the time has passed
        gate.open()
        assert client.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("key", [b"k", b"wrong"])
@pytest.mark.parametrize("pause", [False, True])
def test_a_body_that_breaks_off_into_nonsense_is_one_line_in_the_log(
    text_model: TextModel, caplog: pytest.LogCaptureFixture, key: bytes, pause: bool
) -> None:
    head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n" % key
    with portico(text_model, replace(SETTINGS, api_keys=("k",))) as server:
        with socket.create_connection((server.host, server.port), timeout=20) as client:
            client.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
            if pause and key == b"wrong":
                assert client.recv(20).startswith(b"HTTP/1.1 401")
            client.sendall(b"1\r\n{\r\nZZZ\r\n")
            with contextlib.suppress(ConnectionResetError):
                while client.recv(65536):
                    pass
        assert server.http().get("/health").status_code == 200
    assert not [record for record in caplog.records if record.exc_info]


def test_silent_connections_leave_files_for_others(text_model: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a limit of its own the server would write to its log, over and over, that it cannot open more."""
    monkeypatch.setattr("portico.server.serve.most_connections", lambda: 20)
    with portico(text_model) as server, contextlib.ExitStack() as stack:
        address = (server.host, server.port)
        silent = [stack.enter_context(socket.create_connection(address, timeout=20)) for _ in range(30)]
        closed = 0
        for client in silent[19:]:
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""
            closed += 1
        assert closed == 11
        for client in silent[:19]:
            client.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        while server.http().get("/health").status_code != 200:
            pass


def test_as_many_files_as_may_be_are_opened() -> None:
    program = (
        "import resource; from portico.server.connections import most_connections;"
        "most = resource.getrlimit(resource.RLIMIT_NOFILE)[1];"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, min(most, 2000)));"
        "print(most_connections(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    connections, files = map(int, done.stdout.split())
    assert files > 100
    assert connections == files - 256
