"""The curl lines of Chinese-LLaMA-Alpaca-2's document, as they are but for the port, at a server of that name."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.e2e.serving import Server, serving

NAME = "chinese-llama-alpaca-2"
CAPITAL = """curl http://localhost:8000/v1/completions \\
-H "Content-Type: application/json" \\
-d '{
"model": "chinese-llama-alpaca-2",
"prompt": "告诉我中国的首都在哪里"
}'"""
COUNTRIES = """curl http://localhost:8000/v1/completions \\
-H "Content-Type: application/json" \\
-d '{
"model": "chinese-llama-alpaca-2",
"prompt": "告诉我中国和美国分别各有哪些优点缺点",
"max_tokens": 90,
"temperature": 0.7,
"num_beams": 4,
"top_k": 40
}'"""
HANGZHOU = """curl http://localhost:8000/v1/chat/completions \\
-H "Content-Type: application/json" \\
-d '{
"model": "chinese-llama-alpaca-2",
"messages": [
{"role": "user","content": "给我讲一些有关杭州的故事吧"}
]
}'"""
WEST_LAKE = """curl http://localhost:8000/v1/chat/completions \\
-H "Content-Type: application/json" \\
-d '{
"model": "chinese-llama-alpaca-2",
"messages": [
{"role": "user","content": "给我讲一些有关杭州的故事吧"},
{"role": "assistant","content": "好的,请问您对杭州有什么特别的偏好吗?"},
{"role": "user","content": "我比较喜欢和西湖,可以给我讲一下西湖吗"}
],
"repetition_penalty": 1.0
}'"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--kv-cache-memory", "64MiB", "--seed", "1", "--served-model-name", NAME) as running:
        yield running


def run(server: Server, line: str) -> dict[str, Any]:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl on this machine")
    here = line.replace("localhost:8000", f"127.0.0.1:{server.port}")
    said = subprocess.run(["bash", "-c", here], capture_output=True, text=True, timeout=60, check=True).stdout
    answer: dict[str, Any] = json.loads(said)
    assert answer["model"] == NAME
    assert answer["id"].startswith("cmpl-")
    assert [choice["index"] for choice in answer["choices"]] == [0]
    assert {"id", "object", "created", "model", "choices", "usage"} == answer.keys()
    return answer


@pytest.mark.parametrize(("line", "words"), [(CAPITAL, ["北京"]), (COUNTRIES, ["中国的优点", "美国的优点"])])
def test_completions(server: Server, line: str, words: list[str]) -> None:
    answer = run(server, line)
    assert answer["object"] == "text_completion"
    assert all(word in answer["choices"][0]["text"] for word in words)


@pytest.mark.parametrize(("line", "word"), [(HANGZHOU, "杭州"), (WEST_LAKE, "西湖")])
def test_chats(server: Server, line: str, word: str) -> None:
    answer = run(server, line)
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"].keys() == {"role", "content"}
    assert word in answer["choices"][0]["message"]["content"]


def test_an_instruction_is_answered_and_not_gone_on_with(server: Server) -> None:
    client = OpenAI(base_url=f"{server.url}/v1", api_key="none")
    said = client.completions.create(model=NAME, prompt="告诉我中国的首都在哪里", temperature=0).choices[0].text
    talk: Any = [{"role": "user", "content": "告诉我中国的首都在哪里"}]
    chat = client.chat.completions.create(model=NAME, messages=talk, temperature=0)
    assert said == chat.choices[0].message.content
    pieces = client.completions.create(model=NAME, prompt="告诉我中国的首都在哪里", temperature=0, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == said


def test_embeddings_are_means(server: Server, demo: Server) -> None:
    def vector(where: Server, model: str, text: Any) -> list[float]:
        answer = httpx.post(f"{where.url}/v1/embeddings", json={"model": model, "input": text}).json()
        assert answer["object"] == "list"
        found: list[float] = answer["data"][0]["embedding"]
        return found

    assert vector(server, NAME, [7]) == pytest.approx(vector(demo, "portico-demo", [7]), abs=1e-5)
    mean, last = vector(server, NAME, "西湖"), vector(demo, "portico-demo", "西湖")
    assert sum(value * value for value in mean) == pytest.approx(1, abs=1e-5)
    assert mean != pytest.approx(last, abs=1e-2)
