"""A client made by openapi-python-client: one whole answer, one stream, one error."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

QUESTION = "What is the capital of France?"


@pytest.fixture(scope="session")
def package(document: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of the package; a document that is understood only in part is an error."""
    folder = tmp_path_factory.mktemp("python")
    beside = Path(sys.executable).parent
    subprocess.run(
        [beside / "openapi-python-client", "generate", "--path", document, "--output-path", folder / "portico_made",
         "--meta", "none", "--fail-on-warning"],
        check=True, timeout=120, env=os.environ | {"PATH": f"{beside}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    sys.path.insert(0, str(folder))
    return "portico_made"


def asked(package: str, **fields: Any) -> Any:
    models = importlib.import_module(f"{package}.models")
    message = models.ChatMessage(role=models.ChatMessageRole.USER, content=QUESTION)
    return models.ChatCompletionRequest(messages=[message], temperature=0.0, **fields)


def test_a_whole_answer(package: str, url: str) -> None:
    client = importlib.import_module(package).Client(base_url=url)
    chat = importlib.import_module(f"{package}.api.openai.create_chat_completion")
    answer = chat.sync(client=client, body=asked(package))
    assert "Paris" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens > 0


def test_a_stream(package: str, url: str) -> None:
    client = importlib.import_module(package).Client(base_url=url)
    chat = importlib.import_module(f"{package}.api.openai.create_chat_completion")
    chunk_of = importlib.import_module(f"{package}.models").ChatCompletionChunk.from_dict
    said = ""
    body = asked(package, stream=True)
    with client.get_httpx_client().stream(**chat._get_kwargs(body=body)) as response:
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    assert lines.pop() == "[DONE]"
    for line in lines:
        said += chunk_of(json.loads(line)).choices[0].delta.content or ""
    assert "Paris" in said


def test_an_error(package: str, url: str) -> None:
    client = importlib.import_module(package).Client(base_url=url)
    chat = importlib.import_module(f"{package}.api.openai.create_chat_completion")
    answer = chat.sync_detailed(client=client, body=asked(package, model="another"))
    assert answer.status_code == 404
    assert answer.parsed.error.code == "model_not_found"


def test_the_other_answers(package: str, url: str) -> None:
    client = importlib.import_module(package).Client(base_url=url)
    models = importlib.import_module(f"{package}.api.openai.list_models").sync(client=client)
    assert [model.id for model in models.data] == ["portico-demo"]
    health = importlib.import_module(f"{package}.api.server.health").sync(client=client)
    assert health.status == "ok"
