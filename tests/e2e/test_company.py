"""The same request and seed give the same bytes alone and in a busy server, whatever the weights' format."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from tests.e2e.serving import serving

STRANGERS = 63
MINE: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Tell me about Paris, then write a haiku about the sea."}],
    "max_tokens": 40,
    "seed": 1234,
    "temperature": 1.3,
    "logprobs": True,
    "top_logprobs": 3,
    "extra_body": {"top_k": 60, "repetition_penalty": 1.1},
}


def stranger(number: int) -> dict[str, Any]:
    """Requests of many lengths and wishes; some share the beginning of mine."""
    words = MINE["messages"][0]["content"] if number % 5 == 0 else "What is the capital of Spain? " * (1 + number % 9)
    wishes: dict[str, Any] = {"temperature": 0} if number % 2 else {"seed": number, "temperature": 1.0}
    return {"messages": [{"role": "user", "content": f"{words} {number}"}], "max_tokens": 5 + number % 23, **wishes}


async def ask(client: openai.AsyncOpenAI, request: dict[str, Any]) -> tuple[str, list[float]]:
    answer = await client.chat.completions.create(model="demo", **request)
    choice = answer.choices[0]
    told = choice.logprobs.content if choice.logprobs is not None else None
    return choice.message.content or "", [entry.logprob for entry in told or []]


async def alone_and_in_company(port: int) -> list[tuple[str, list[float]]]:
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", timeout=120) as client:
        alone = await ask(client, MINE)
        first, last = (stranger(n) for n in (0, STRANGERS))
        before = [asyncio.create_task(ask(client, stranger(n))) for n in range(STRANGERS)]
        mine = [asyncio.create_task(ask(client, MINE)) for _ in range(2)]
        await asyncio.gather(*before, ask(client, first), ask(client, last))
        return [alone, *await asyncio.gather(*mine), await ask(client, MINE)]


@pytest.mark.parametrize("quantization", ["none", "int8", "int4"])
def test_company_changes_nothing(quantization: str) -> None:
    flags = ("--quantization", quantization, "--weights-cache", "off", "--served-model-name", "demo")
    # Few tokens a step and few blocks: prompts come in chunks, and some requests have to wait or start again.
    with serving(*flags, "--kv-cache-memory", "2MiB", "--max-num-batched-tokens", "96") as server:
        alone, *others = asyncio.run(alone_and_in_company(server.port))
    assert len(alone[1]) > 10
    assert others == [alone] * len(others)
