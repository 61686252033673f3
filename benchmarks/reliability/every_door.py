"""Requests for every door of a server, some of whose clients leave early: at any byte, of the request or the answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Mapping
from typing import Any

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
          "required": ["name", "age"]}  # fmt: skip
WEATHER = {"type": "function", "function": {"name": "get_current_weather", "description": "The weather of a city",
           "parameters": {"type": "object", "properties": {"location": {"type": "string"}}}}}  # fmt: skip
SEARCH = {"use_beam_search": True, "n": 2, "best_of": 2}

Request = tuple[str, dict[str, Any]]
"""A path and a body."""


def _chat(text: str = "Write a haiku about the sea.", **more: Any) -> Request:
    return "/v1/chat/completions", {"model": "portico-demo", "messages": [{"role": "user", "content": text}], **more}


def _completion(**more: Any) -> Request:
    return "/v1/completions", {"model": "portico-demo", "prompt": "Tell me about the sea", **more}


def every_door(tokens: int) -> tuple[Request, ...]:
    """One request of each kind, whose answers, where they have a length, have that of `tokens`."""
    long: dict[str, Any] = {"max_tokens": tokens, "ignore_eos": True}
    return (
        _chat(**long),
        _chat(stream=True, **long),
        _chat(stream=True, n=3, **long),
        _chat(n=2, logprobs=True, top_logprobs=2, **long),
        _chat(max_tokens=tokens, **SEARCH),
        _chat(max_tokens=tokens, stream=True, **SEARCH),
        _chat("Tom is 31 years old. Answer as JSON.", stream=True,
              response_format={"type": "json_schema", "json_schema": {"name": "p", "schema": SCHEMA}}),
        _chat("What is the weather in Paris?", stream=True, tools=[WEATHER], tool_choice="required"),
        _completion(stream=True, stop=["\n\n\n"], **long),
        _completion(n=2, best_of=3, **long),
        _completion(echo=True, logprobs=2, **long),
        ("/v1/embeddings", {"model": "portico-demo", "input": ["one", "another", "a third"]}),
        ("/v1/chat/interactive", {"prompt": "Hello!", "request_output_len": tokens, "ignore_eos": True}),
        ("/v1/chat/interactive", {"prompt": "Hello!", "session_id": 7, "interactive_mode": True, "stream": True,
                                  "request_output_len": tokens, "ignore_eos": True}),
        ("/generate", {"prompt": "Once upon a time", "stream": True, **long}),
        ("/generate", {"prompt": "Once upon a time", **long}),
        ("/v1/encode", {"input": "some text"}),
        ("/score", {"text_1": "a cat", "text_2": ["a dog", "a house"]}),
        ("/rerank", {"query": "a cat", "documents": ["a dog", "a house"]}),
        ("/tokenize", {"prompt": "some text"}),
    )  # fmt: skip


def raw(request: Request, headers: Mapping[str, str] = {}) -> bytes:
    """The bytes of a request, after whose answer the connection ends."""
    path, body = request
    data = json.dumps(body).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\nConnection: close\r\n{more}\r\n"
    )
    return head.encode() + data


async def answered(port: int, request: Request) -> tuple[int, bytes]:
    """The status and the whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    try:
        writer.write(raw(request))
        answer = await reader.read()
        return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]
    finally:
        writer.close()


async def left(port: int, request: Request, rng: random.Random, patience: float) -> None:
    """Send some of a request, or all of it and read some of the answer, and hang up: politely or by a reset."""
    data = raw(request)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    try:
        if rng.random() < 0.3:
            writer.write(data[: rng.randrange(len(data))])
            await writer.drain()
            return
        writer.write(data)
        with contextlib.suppress(TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(patience * rng.random()):
                await reader.readexactly(1 + int(rng.expovariate(1 / 600)))
    finally:
        if rng.random() < 0.5:
            writer.transport.abort()
        else:
            writer.close()


async def health(port: int) -> dict[str, Any]:
    """What /health says."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        return dict(json.loads(answer.partition(b"\r\n\r\n")[2]))
    finally:
        writer.close()


async def idle(port: int, seconds: float = 60.0) -> dict[str, Any]:
    """Wait until nothing runs and no block is in use; TimeoutError if that does not come."""
    async with asyncio.timeout(seconds):
        while (state := await health(port)).get("blocks_used") or state.get("running") or state.get("waiting"):
            await asyncio.sleep(0.02)
    return state
