"""A server whose answers come at known times: `python -m tests.client.bench.schedule` prints its port and serves.

Requests name in the field `user` which schedule they want; there is one for each kind of thing that happens to streams.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Send = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Piece:
    """What is sent a while after the request came."""

    at: float
    data: bytes


@dataclass(slots=True)
class Served:
    """What a server was asked, and when it sent what."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    running: int = 0
    most_running: int = 0


def event(fields: dict[str, Any] | str) -> bytes:
    text = fields if isinstance(fields, str) else json.dumps(fields)
    return f"data: {text}\n\n".encode()


def said(text: str, chat: bool) -> bytes:
    choice = {"index": 0, "delta": {"content": text}} if chat else {"index": 0, "text": text}
    return event({"choices": [choice], "usage": None})


def usage(prompt: int, completion: int, cached: int = 0) -> bytes:
    details = {"cached_tokens": cached}
    fields = {"prompt_tokens": prompt, "completion_tokens": completion, "prompt_tokens_details": details}
    return event({"choices": [], "usage": fields})


def steady(first: float, gap: float, pieces: int, chat: bool, tokens_each: int = 1) -> list[Piece]:
    """Pieces at even times, and what they cost."""
    told = [Piece(first + gap * number, said(f"word{number} ", chat)) for number in range(pieces)]
    end = first + gap * (pieces - 1)
    return [*told, Piece(end, usage(10, pieces * tokens_each)), Piece(end, event("[DONE]"))]


async def serve(plan: Callable[[dict[str, Any], bool], list[Piece] | bytes], served: Served) -> asyncio.Server:
    """A server that answers a body, of chat or not, by its plan: pieces, or all of what goes over the wire."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await _answer(reader, writer, plan, served):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(one, "127.0.0.1", 0)


async def _answer(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    plan: Callable[[dict[str, Any], bool], list[Piece] | bytes],
    served: Served,
) -> bool:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    came = time.perf_counter()
    length = next((line for line in head.lower().split("\r\n") if line.startswith("content-length:")), ":0")
    data = await reader.readexactly(int(length.split(":")[1]))
    path = head.split(" ")[1]
    if path == "/v1/models":
        _whole(writer, b'{"data":[{"id":"synthetic","root":"synthetic"}]}')
        return True
    if "completions" not in path:
        _whole(writer, b"{}", 404)
        return True
    body = json.loads(data)
    served.bodies.append(body)
    served.heads.append(head)
    pieces = plan(body, "chat" in path)
    if isinstance(pieces, bytes):
        writer.write(pieces)
        await writer.drain()
        return False
    served.running += 1
    served.most_running = max(served.most_running, served.running)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    try:
        for piece in pieces:
            await asyncio.sleep(max(0.0, came + piece.at - time.perf_counter()))
            writer.write(b"%x\r\n%b\r\n" % (len(piece.data), piece.data))
            await writer.drain()
    finally:
        served.running -= 1
    writer.write(b"0\r\n\r\n")
    return True


def _whole(writer: asyncio.StreamWriter, body: bytes, status: int = 200) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


async def main(first: float, gap: float, pieces: int) -> None:
    """Answers with some spread: each request's number decides how slow it is."""
    served = Served()

    def plan(body: dict[str, Any], chat: bool) -> list[Piece]:
        slow = 1 + (len(served.bodies) * 7 % 10) / 10
        return steady(first * slow, gap * slow, pieces, chat)

    server = await serve(plan, served)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*map(float, sys.argv[1:3]), int(sys.argv[3])))
