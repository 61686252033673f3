from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from portico.protocol.messages import TokenEvent
from portico.server.disconnect import ClientGoneError, while_connected
from tests.server.fake_engine import Gate
from tests.server.harness import MODEL, LiveServer

STREAM = pytest.mark.parametrize("stream", [False, True])


def send(server: LiveServer, path: str, **body: Any) -> socket.socket:
    """Send a request and leave the answer unread."""
    data = json.dumps({"model": MODEL, **body}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    connection = socket.create_connection((server.host, server.port), timeout=20)
    connection.sendall(head.encode() + data)
    return connection


@STREAM
def test_a_client_that_leaves_while_waiting_is_cancelled(server: LiveServer, stream: bool) -> None:
    gate = Gate()
    server.engine.script = lambda add: [gate]
    connection = send(server, "/v1/completions", prompt="Hello", stream=stream)
    assert gate.reached.wait(20)
    connection.close()
    server.engine.wait_for(lambda: len(server.engine.cancelled) == 1 and not server.engine.running)
    assert server.engine.cancelled == [(server.engine.added[0].request_id, None)]


@STREAM
def test_a_client_that_leaves_in_mid_answer_is_cancelled(server: LiveServer, stream: bool) -> None:
    gate = Gate()
    server.engine.script = lambda add: [[TokenEvent(add.request_id, 0, [40])], gate]
    messages = [{"role": "user", "content": "hi"}]
    connection = send(server, "/v1/chat/completions", messages=messages, stream=stream)
    assert gate.reached.wait(20)
    if stream:
        received = b""
        while b'"content":"' not in received or received.count(b"data: ") < 2:
            received += connection.recv(65536)
    connection.close()
    server.engine.wait_for(lambda: len(server.engine.cancelled) == 1 and not server.engine.running)


@STREAM
def test_all_prompts_of_a_client_that_leaves_are_cancelled(server: LiveServer, stream: bool) -> None:
    gates = {(5,): Gate(), (6,): Gate(), (7,): Gate()}
    server.engine.script = lambda add: [gates[tuple(add.prompt_ids)]]
    connection = send(server, "/v1/completions", prompt=[[5], [6], [7]], stream=stream)
    assert all(gate.reached.wait(20) for gate in gates.values())
    connection.close()
    server.engine.wait_for(lambda: len(server.engine.cancelled) == 3 and not server.engine.running)


def test_a_client_that_leaves_before_its_body_is_complete_starts_nothing(server: LiveServer) -> None:
    connection = socket.create_connection((server.host, server.port), timeout=20)
    connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    connection.close()
    assert server.http().post("/v1/completions", json={"prompt": "after"}).status_code == 200
    assert len(server.engine.added) == 1


def test_many_clients_that_leave_leave_nothing_behind(server: LiveServer) -> None:
    gate = Gate()
    server.engine.script = lambda add: [[TokenEvent(add.request_id, 0, [40])], gate]
    connections = [send(server, "/v1/completions", prompt="Hello", stream=bool(n % 2)) for n in range(60)]
    server.engine.wait_for(lambda: len(server.engine.added) == 60)
    for connection in connections:
        connection.close()
    server.engine.wait_for(lambda: not server.engine.running)
    assert {request_id for request_id, _ in server.engine.cancelled} == {add.request_id for add in server.engine.added}
    server.engine.script = lambda add: [[TokenEvent(add.request_id, 0, [40], "length")]]
    assert server.http().post("/v1/completions", json={"prompt": "after"}).status_code == 200


async def test_work_that_ends_first_is_what_counts() -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def work() -> int:
        return 5

    assert await while_connected(receive, work()) == 5


async def test_a_disconnect_cancels_the_work_and_waits_for_its_clean_up() -> None:
    steps = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned")

    with pytest.raises(ClientGoneError):
        await while_connected(receive, work())
    assert steps == ["cleaned"]
