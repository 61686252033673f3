"""kill -9 of the engine under streams of every kind: all of them end as they would have."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import psutil
import pytest

from tests.e2e.serving import Server, serving

KILLS = int(os.environ.get("PORTICO_KILLS", "3"))
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather of a city",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
    },
}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
SAMPLED: dict[str, Any] = {"temperature": 1.2, "max_tokens": 300, "extra_body": {"ignore_eos": True}}
KINDS: tuple[dict[str, Any], ...] = (
    {"say": "Write a haiku about the sea.", **SAMPLED},
    {"say": "Tell me about Paris.", "temperature": 0, "max_tokens": 300, "extra_body": {"ignore_eos": True}},
    {"say": "Count to ten.", "n": 2, **SAMPLED},
    {"say": "Hello! Who are you?", "logprobs": True, "top_logprobs": 3, **SAMPLED},
    {
        "say": "Tom is 31 years old. Answer as JSON.",
        "response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}},
    },
    {"say": "What is the weather in Paris?", "tools": [WEATHER], "tool_choice": "required"},
    {
        "say": "Write a long story.",
        "temperature": 1.0,
        "max_tokens": 300,
        "extra_body": {"ignore_eos": True, "top_k": 40},
    },
    {"say": "Tell me about the sea and the moon.", "stop": ["qq", "never said"], "frequency_penalty": 0.5, **SAMPLED},
    {
        "say": "What is the capital of Spain?",
        "extra_body": {"use_beam_search": True, "n": 2, "best_of": 2},
        "stream": False,
    },
)


WHOLE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v1/embeddings", {"input": ["one", "a longer text " * 40]}),
    ("/score", {"text_1": "a cat", "text_2": ["a dog", "a house " * 30]}),
    ("/v1/completions", {"prompt": "Once upon a time", "echo": True, "logprobs": 2, "max_tokens": 60, "seed": 5}),
    ("/generate", {"prompt": "Once upon a time", "max_tokens": 60, "ignore_eos": True, "temperature": 0}),
)
"""What is answered at once, asked again and again while engines are lost."""
CHANGING = {"id", "created", "meta_info"}


def request(number: int) -> dict[str, Any]:
    """One of 32 requests: the kinds in turn, each with a seed of its own."""
    wishes = dict(KINDS[number % len(KINDS)])
    said = wishes.pop("say")
    talk = [{"role": "user", "content": f"{said} {'Please. ' * (number // len(KINDS))}".strip()}]
    return {"model": "portico-demo", "messages": talk, "seed": number, "stream": True, **wishes}


@dataclass
class Progress:
    """Chunks that all streams together have had."""

    chunks: int = 0


async def answer(client: openai.AsyncOpenAI, wishes: dict[str, Any], progress: Progress) -> list[Any]:
    """All that a client gets to see of an answer, but for the times and ids, the pieces of each text put together."""
    got = await client.chat.completions.create(**wishes)
    if not wishes["stream"]:
        return [choice.model_dump() for choice in got.choices]
    seen: dict[int, list[Any]] = {}
    async for chunk in got:
        progress.chunks += 1
        for choice in chunk.choices:
            texts, logprobs, calls, endings = seen.setdefault(choice.index, [[], [], [], []])
            texts.append(choice.delta.content or "")
            for call in choice.delta.tool_calls or []:
                calls.append((call.index, call.function.name, call.function.arguments))
            if choice.logprobs is not None:
                logprobs += [(entry.token, entry.logprob) for entry in choice.logprobs.content or []]
            endings += [choice.finish_reason] if choice.finish_reason else []
    return [
        ["".join(texts), logprobs, "".join(f"{name or ''}{text or ''}" for _, name, text in calls), endings]
        for _, (texts, logprobs, calls, endings) in sorted(seen.items())
    ]


async def again_and_again(url: str, path: str, body: dict[str, Any], going_on: Callable[[], bool]) -> list[Any]:
    """All answers until the streams have ended, without what differs from one to the next."""
    answers: list[Any] = []
    async with httpx.AsyncClient(base_url=url, timeout=300) as http:
        while going_on() or not answers:
            got = await http.post(path, json={"model": "portico-demo", **body})
            assert got.status_code == 200, got.text
            answers.append({name: value for name, value in got.json().items() if name not in CHANGING})
    return answers


def engine_of(server: Server) -> psutil.Process:
    """The engine's process."""
    (engine,) = (child for child in psutil.Process(server.process.pid).children() if "portico.build" in child.cmdline())
    return engine


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(300):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.fixture
async def client(server: Server) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", timeout=300, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--kv-cache-memory", "64MiB") as server:
        yield server


async def test_no_stream_is_lost(server: Server, client: openai.AsyncOpenAI) -> None:
    requests = [request(number) for number in range(32)]
    progress = Progress()
    undisturbed = await asyncio.gather(*(answer(client, wishes, progress) for wishes in requests))
    total, progress = progress.chunks, Progress()
    running = [asyncio.create_task(answer(client, wishes, progress)) for wishes in requests]
    whole = [
        asyncio.create_task(again_and_again(server.url, path, body, lambda: not all(task.done() for task in running)))
        for path, body in WHOLE
    ]
    for kill in range(KILLS):
        least = total * (kill + 1) // (KILLS + 2)
        await until(lambda least=least: progress.chunks >= least)
        engine = engine_of(server)
        engine.kill()
        await until(lambda: httpx.get(f"{server.url}/health").status_code == 503)
        assert "signal 9" in httpx.get(f"{server.url}/health").json()["reason"]
        assert not any(task.done() and task.exception() for task in running)
    disturbed = await asyncio.gather(*running)
    for wishes, before, after in zip(requests, undisturbed, disturbed, strict=True):
        assert json.dumps(after) == json.dumps(before), wishes
    for (path, body), answers in zip(WHOLE, await asyncio.gather(*whole), strict=True):
        alone = (await again_and_again(server.url, path, body, lambda: False))[0]
        assert all(answer == alone for answer in answers), path
    health = httpx.get(f"{server.url}/health").json()
    assert (health["status"], health["running"], health["waiting"], health["blocks_used"]) == ("ok", 0, 0, 0)
