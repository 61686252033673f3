"""The OpenAI-style requests that other servers' documents show, under the model names they use, with real answers.

Where a document leaves the sampling open, a seed is added: the answer is sampled as it says, and the same each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
from openai import AsyncOpenAI, OpenAI

from tests.e2e.serving import Server, serving

MLC = "./dist/Llama-2-7b-chat-hf-q4f16_1-MLC/"
LMDEPLOY = "internlm-chat-7b"
VLLM = "NousResearch/Meta-Llama-3-8B-Instruct"
NAMES = (LMDEPLOY, MLC, VLLM, "llama")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    names = [flag for name in NAMES for flag in ("--served-model-name", name)]
    with serving("--kv-cache-memory", "64MiB", *names) as running:
        yield running


def chat(server: Server, model: str, *talk: str, **fields: Any) -> str:
    """What the model answers to a talk that begins with the user."""
    messages = [{"role": "assistant" if i % 2 else "user", "content": text} for i, text in enumerate(talk)]
    body = {"model": model, "messages": messages, "seed": 1} | fields
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def test_completions(server: Server) -> None:
    body = {"model": "llama", "prompt": "two steps to build a house:", "seed": 1}
    answer = httpx.post(f"{server.url}/v1/completions", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
    assert "build a house" in answer.json()["choices"][0]["text"]


def test_chat_of_each_document(server: Server) -> None:
    assert chat(server, LMDEPLOY, "Hello! How are you?")
    assert len(chat(server, MLC, "Write a haiku about apples.", stream=False, max_tokens=300).splitlines()) == 3
    assert chat(server, VLLM, "Classify this sentiment: vLLM is wonderful!") == "positive"


def test_a_talk_about_itself(server: Server) -> None:
    talk: list[str] = []
    for question in (
        "hi, what's your name?",
        "who developed you?",
        "Tell me more about your developers",
        "Summarize the information we've talked so far",
    ):
        talk.append(question)
        talk.append(chat(server, MLC, *talk, temperature=0))
    assert all("Portico" in answer for answer in talk[1::2])


SUGGESTIONS: list[Any] = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": " provide three suggestions about time management"},
]


def test_the_first_model_of_the_list_with_the_openai_client(server: Server) -> None:
    client = OpenAI(api_key="YOUR_API_KEY", base_url=f"{server.url}/v1")
    name = client.models.list().data[0].id
    assert name == LMDEPLOY
    answer = client.chat.completions.create(model=name, messages=SUGGESTIONS, temperature=0.8, top_p=0.8, seed=1)
    assert "3. " in str(answer.choices[0].message.content)


async def test_the_same_with_the_async_client(server: Server) -> None:
    client = AsyncOpenAI(api_key="YOUR_API_KEY", base_url=f"{server.url}/v1")
    cards = await client.models.list()._get_page()
    answer = await client.chat.completions.create(
        model=cards.data[0].id, messages=SUGGESTIONS, temperature=0.8, top_p=0.8, seed=1
    )
    assert "3. " in str(answer.choices[0].message.content)


def test_a_loop_that_takes_each_http_chunk_for_one_event(server: Server) -> None:
    payload = {"model": MLC, "messages": [{"role": "user", "content": "Write a haiku"}], "stream": True, "seed": 1}
    said = ""
    with requests.post(f"{server.url}/v1/chat/completions", json=payload, stream=True, timeout=60) as answer:
        for chunk in answer.iter_content(chunk_size=None):
            text = chunk.decode("utf-8")
            if "[DONE]" in text[6:]:
                break
            said += json.loads(text[6:])["choices"][0]["delta"].get("content", "")
    assert len(said.splitlines()) == 3
