"""Template, tokenizer and names from the command line, on the bundled model."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx

from portico.demo import demo_folder
from tests.e2e.serving import refused, serving


def test_template_tokenizer_and_names_of_ones_own(tmp_path: Path) -> None:
    model, tokenizer = tmp_path / "model", tmp_path / "tokenizer"
    model.mkdir()
    tokenizer.mkdir()
    for path in demo_folder().iterdir():
        beside = path.name.startswith("tokenizer") or path.suffix == ".jinja"
        shutil.copy(path, (tokenizer if beside else model) / path.name)
    flags = ("--tokenizer", str(tokenizer), "--chat-template", "alpaca", "--kv-cache-memory", "64MiB")
    with serving(str(model), *flags, "--served-model-name", "one", "two") as server:
        http = httpx.Client(base_url=server.url, timeout=60)
        assert [entry["id"] for entry in http.get("/v1/models").json()["data"]] == ["one", "two"]
        messages = [{"role": "user", "content": "What is 2 + 3?"}]
        ids = http.post("/tokenize", json={"messages": messages}).json()["tokens"]
        said = http.post("/detokenize", json={"tokens": ids}).json()["prompt"]
        assert said.endswith("### Instruction:\nWhat is 2 + 3?\n\n### Response:\n")
        body = {"model": "two", "messages": messages, "max_tokens": 4, "guided_choice": ["Paris", "Bern"]}
        answer = http.post("/v1/chat/completions", json=body).json()
        assert answer["model"] == "two"
        assert answer["choices"][0]["message"]["content"] in ("Paris", "Bern")


def test_a_model_without_a_template_says_so_at_the_start(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(demo_folder(), model)
    for name in ("chat_template.jinja", "chat_template.json"):
        (model / name).unlink(missing_ok=True)
    with serving(str(model), "--kv-cache-memory", "64MiB") as server:
        assert "no chat template" in server.banner
        assert "/v1/completions" in server.banner


def test_a_template_that_is_none_is_refused_at_once() -> None:
    said = refused("--chat-template", "no-such-name")
    assert said.returncode == 2
    assert "no-such-name" in said.stderr
    assert "chatml" in said.stderr
