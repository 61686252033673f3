"""The commands that the documents of five servers start with, the program's name replaced, by the names they use."""

from __future__ import annotations

import shlex
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

from portico.demo import demo_folder
from tests.certificates import self_signed
from tests.e2e.serving import ENVIRONMENT, PYTHON, refused, serving

SCRIPT = Path(__file__).parents[2] / "scripts" / "openai_server_demo" / "openai_api_server_vllm.py"
PORTICO = [PYTHON, "-m", "portico"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the documents' models are: each is the demo model."""
    folder = tmp_path_factory.mktemp("work")
    for name in (
        "dist/Llama-2-7b-chat-hf-q4f16_1-MLC",
        "dist/prebuilt/vicuna-v1-7b",
        "path/to/base_model",
        "models/internlm/internlm2_5-7b-chat",
        "NousResearch/Meta-Llama-3-8B-Instruct",
    ):
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(demo_folder(), target_is_directory=True)
    (folder / "path-to-chat-template.jinja").write_text((demo_folder() / "chat_template.jinja").read_text("utf-8"))
    (folder / "portico.yaml").write_text("served_model_name: from-a-file\napi_key: from-a-file\n")
    return folder


@pytest.mark.parametrize(
    ("command", "model", "key", "host"),
    [
        (
            "portico serve ./dist/Llama-2-7b-chat-hf-q4f16_1-MLC/ --model-lib PATH-TO-MODEL-LIB --device cpu "
            "--mode local --speculative-mode disable --overrides 'max_num_sequence=32;max_total_seq_length=4096' "
            "--host 127.0.0.1 --port 8080 --allow-credentials --allowed-origins '[\"*\"]' --allowed-methods '[\"*\"]'",
            "./dist/Llama-2-7b-chat-hf-q4f16_1-MLC/", "", "127.0.0.1",
        ),
        ("python -m portico.rest --model vicuna-v1-7b --lib-path LIB --device auto:0", "vicuna-v1-7b", "", "127.0.0.1"),
        (
            "python scripts/openai_server_demo/openai_api_server_vllm.py --model path/to/base_model "
            "--tokenizer-mode slow --served-model-name chinese-llama-alpaca-2",
            "chinese-llama-alpaca-2", "", "localhost",
        ),
        (
            "portico serve api_server internlm/internlm2_5-7b-chat --server-port 23333",
            "internlm/internlm2_5-7b-chat", "", "0.0.0.0",
        ),
        (
            "portico serve NousResearch/Meta-Llama-3-8B-Instruct --dtype auto --api-key token-abc123 "
            "--chat-template ./path-to-chat-template.jinja",
            "NousResearch/Meta-Llama-3-8B-Instruct", "token-abc123", "127.0.0.1",
        ),
        (
            "python -m portico.entrypoints.openai.api_server --model NousResearch/Meta-Llama-3-8B-Instruct "
            "--dtype auto --config portico.yaml",
            "from-a-file", "from-a-file", "0.0.0.0",
        ),
    ],
)  # fmt: skip
def test_a_command_starts_a_server(command: str, model: str, key: str, host: str, folder: Path) -> None:
    program, *arguments = shlex.split(command)
    arguments = [str(SCRIPT) if argument.startswith("scripts/") else argument for argument in arguments]
    start = PORTICO if program == "portico" else [PYTHON]
    with serving("--kv-cache-memory", "64MiB", command=[*start, *arguments], folder=folder) as server:
        assert f"//{host}:" in server.url
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with httpx.Client(base_url=server.url, headers=headers, timeout=60) as http:
            assert http.get("/v1/models").json()["data"][0]["id"] == model
            body = {"model": model, "messages": [{"role": "user", "content": "hi, what's your name?"}], "seed": 1}
            answer = http.post("/v1/chat/completions", json=body).json()
            assert "Portico" in answer["choices"][0]["message"]["content"]
            if key:
                assert http.get("/v1/models", headers={"Authorization": ""}).status_code == 401


def test_https_with_the_files_of_the_environment(tmp_path: Path) -> None:
    key, certificate = self_signed(tmp_path)
    flags = ("--ssl", "--kv-cache-memory", "64MiB")
    with serving(*flags, SSL_KEYFILE=key, SSL_CERTFILE=certificate) as server:
        assert server.url.startswith("https://127.0.0.1:")
        trusted = ssl.create_default_context(cafile=certificate)
        assert httpx.get(f"{server.url}/health", verify=trusted).json()["status"] == "ok"
    done = refused("--ssl", SSL_KEYFILE="", SSL_CERTFILE="")
    assert done.returncode == 2
    assert "SSL_KEYFILE" in done.stderr


def test_two_gpus_are_refused_in_a_sentence() -> None:
    command = ["serve", "HF://mlc-ai/Llama-3-8B-Instruct-q4f16_1-MLC", "--overrides", "tensor_parallel_shards=2"]
    done = subprocess.run([*PORTICO, *command], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 2
    assert "--overrides tensor_parallel_shards is '2'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
