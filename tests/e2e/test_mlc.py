"""What MLC LLM's and MLC-Chat's clients find besides their documents' examples: traces, figures, one conversation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from portico.demo import demo_folder
from tests.e2e.serving import PYTHON, Server, serving

LLAMA = "./dist/Llama-2-7b-chat-hf-q4f16_1-MLC/"
MODELS = ("dist/Llama-2-7b-chat-hf-q4f16_1-MLC", "dist/prebuilt/vicuna-v1-7b")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the documents' models are: each is the demo model."""
    folder = tmp_path_factory.mktemp("work")
    for name in MODELS:
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(demo_folder(), target_is_directory=True)
    return folder


@pytest.fixture(scope="module")
def mlc(folder: Path) -> Iterator[Server]:
    flags = ("--compat", "mlc", "--enable-tracing", "--enable-debug", "--kv-cache-memory", "64MiB", "--seed", "1")
    command = [PYTHON, "-m", "portico", "serve", LLAMA, "--model-lib", "PATH-TO-MODEL-LIB", "--mode", "local"]
    with serving(*flags, command=command, folder=folder) as server:
        yield server


def test_the_trace(mlc: Server) -> None:
    body = {"model": LLAMA}
    talk = {"messages": [{"role": "user", "content": "hi, what's your name?"}], "max_tokens": 4}
    answer = httpx.post(f"{mlc.url}/v1/chat/completions", json=talk, timeout=60).json()
    events = httpx.post(f"{mlc.url}/debug/dump_event_trace", json=body).json()
    mine = [event for event in events if event["tid"] == answer["id"]]
    assert [event["name"] for event in mine if event["ph"] == "B"][:2] == ["tokenization (0)", "prefill (0)"]
    assert mine[-1]["name"].startswith("finish")
    metrics = httpx.get(f"{mlc.url}/metrics").text
    assert 'portico:num_requests_running{model_name="./dist/' in metrics
    assert "\nengine_decode_time_sum " in metrics


def test_a_conversation_without_a_history_in_requests(folder: Path) -> None:
    command = [PYTHON, "-m", "portico.rest", "--model", "vicuna-v1-7b", "--lib-path", "LIB", "--device", "auto:0"]
    with serving("--kv-cache-memory", "64MiB", "--seed", "1", command=command, folder=folder) as server:
        url = f"{server.url}/v1/chat/completions"
        for question, expected in (("My name is Marco.", "Marco"), ("What is my name?", "Marco")):
            body = {"messages": [{"role": "user", "content": question}], "temperature": 0}
            assert expected in httpx.post(url, json=body, timeout=60).json()["choices"][0]["message"]["content"]
