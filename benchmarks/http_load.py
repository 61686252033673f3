"""Streams through a real server, read as cheaply as can be, so that the server's own cost shows."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portico.client.bench.record import Turn
from portico.client.bench.stream import Target
from portico.client.bench.wire import Wire


@dataclass(frozen=True, slots=True)
class Server:
    """A running `portico serve`."""

    port: int
    process: subprocess.Popen[str]
    seconds_to_ready: float


@contextmanager
def server(model: Path | None, *flags: str) -> Iterator[Server]:
    """Start `portico serve` on a free port, wait until it is ready, and end it afterwards."""
    command = [
        sys.executable,
        "-m",
        "portico.cli.main",
        "serve",
        *([str(model)] if model else []),
        "--port",
        "0",
        *flags,
    ]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    try:
        assert process.stdout is not None
        for line in process.stdout:
            found = re.search(r"http://[\w.]+:(\d+)", line)
            if found:
                yield Server(int(found[1]), process, time.perf_counter() - start)
                return
        raise RuntimeError(f"the server ended with status {process.wait()}")
    finally:
        process.terminate()
        process.communicate()


async def post(port: int, path: str, body: dict[str, object]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send one POST; the answer is still to be read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
    data = json.dumps(body).encode()
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode()
        + data
    )
    await writer.drain()
    return reader, writer


async def stream(port: int, body: dict[str, Any]) -> list[float]:
    """Arrival times of the pieces of one streamed completion; raises if it does not end as it should."""
    wire = Wire(f"http://127.0.0.1:{port}")
    try:
        turn = Turn(body["prompt"], body["max_tokens"])
        record = await Target(wire, "openai", body["model"], body).ask((), turn)
    finally:
        wire.close()
    if record.problem is not None:
        raise RuntimeError(record.problem.detail)
    return record.chunks


async def decode(port: int, vocabulary: int, sequences: int, prompt: int = 128, new_tokens: int = 64) -> float:
    """New tokens a second of `sequences` streams, counted between the last stream's first piece and the first end."""
    bodies = [
        {
            "model": "bench",
            "prompt": [(n * 7919 + i * 104729) % vocabulary for i in range(prompt)],
            "max_tokens": new_tokens,
            "temperature": 0,
            "ignore_eos": True,
        }
        for n in range(sequences)
    ]
    streams = await asyncio.gather(*(stream(port, body) for body in bodies))
    first = max(arrivals[0] for arrivals in streams)
    last = min(arrivals[-1] for arrivals in streams)
    pieces = sum(first < at <= last for arrivals in streams for at in arrivals)
    return pieces / (last - first)
