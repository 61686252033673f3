"""`portico serve` by hand: what it prints, how it refuses, how it ends."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import psutil
import pytest
from safetensors.torch import load_file, save_file

from portico.demo import demo_folder
from tests.certificates import self_signed
from tests.e2e.serving import Server, refused, serving


def test_the_banner_says_what_and_where_and_its_curl_line_works(demo: Server) -> None:
    assert f"serves portico-demo at {demo.url}/v1" in demo.banner
    line = next(line for line in demo.banner.splitlines() if "try:" in line).split("try:")[1]
    answer = subprocess.run(shlex.split(line), capture_output=True, text=True, check=True)
    assert "Portico" in json.loads(answer.stdout)["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--prot", "1"], "did you mean --port?"),
        (["--port", "http"], "must be a port"),
        (["--dtype", "int3"], "one of auto, float32, bfloat16, float16"),
        (["--kv-cache-memory", "much"], "512MiB"),
        (["--kv-cache-dtype", "fp8"], "auto, bfloat16, float16, float32, int8"),
        (["--kv-cache-dtype", "bfloat16", "--dtype", "float32"], "kv_cache_dtype is bfloat16"),
        (["/no/such/folder"], "/no/such/folder"),
        (["--device", "cuda:99"], "cuda"),
        (["--max-model-len", "1000000"], "1000000"),
        (["--tool-call-parser", "nope", "--port", "0"], "hermes"),
        (["--reasoning-parser", "gone.py:MINE", "--port", "0"], "gone.py"),
    ],
)
def test_what_cannot_be_is_one_line(flags: list[str], words: str) -> None:
    done = refused(*flags)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if " INFO " not in line and " ERROR " not in line]
    assert len(said) == 1
    assert words in said[0]
    assert "Traceback" not in done.stderr + done.stdout


def test_a_certificate_of_another_key_is_one_line(tmp_path: Path) -> None:
    files = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        files.append(self_signed(tmp_path / name))
    done = refused("--port", "0", "--ssl-keyfile", files[0][0], "--ssl-certfile", files[1][1])
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert "the key and the certificate cannot be used" in done.stderr


def test_a_folder_for_temporary_files_that_no_socket_fits_in_is_one_line(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    done = refused("--port", "0", TMPDIR=str(deep))
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert "TMPDIR=/tmp" in done.stderr
    assert not list(deep.iterdir())


def test_a_bad_variable_is_one_line() -> None:
    done = refused(PORTICO_PORT="http")
    assert done.returncode != 0
    assert "PORTICO_PORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = refused("--port", str(taken.getsockname()[1]))
    assert done.returncode != 0
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("damage", [
    "truncated weights", "no tokenizer", "bad tokenizer", "bad config", "bad template", "no weights", "not a number",
    "an absent shard",
])  # fmt: skip
def test_a_broken_checkpoint_is_one_line(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(demo_folder(), folder)
    weights = folder / "model.safetensors"
    match damage:
        case "truncated weights":
            os.truncate(weights, weights.stat().st_size // 2)
        case "no tokenizer":
            (folder / "tokenizer.json").unlink()
        case "bad config":
            (folder / "config.json").write_text("{")
        case "bad tokenizer":
            (folder / "tokenizer.json").write_text('{"model": {"type": "BPE"}}')
        case "bad template":
            (folder / "chat_template.jinja").write_text("{% for message in %}")
        case "no weights":
            weights.unlink()
        case "not a number":
            tensors = load_file(weights)
            tensors["model.norm.weight"][5] = float("nan")
            save_file(tensors, weights)
        case "an absent shard":
            index = {"weight_map": {"model.norm.weight": "model-00002-of-00002.safetensors"}}
            (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    cache, temporary = tmp_path / "cache", tmp_path / "temporary"
    temporary.mkdir()
    flags = (str(folder), "--port", "0", "--quantization", "int8", "--threads", "1")
    done = refused(*flags, PORTICO_CACHE_DIR=str(cache), TMPDIR=str(temporary))
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if " INFO " not in line and " ERROR " not in line]
    assert len(said) == 1
    assert str(folder) in said[0]
    assert "Traceback" not in done.stderr
    assert not [file for file in cache.rglob("*") if file.is_file()]
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_running_answers_end_and_leaves_no_process(number: signal.Signals) -> None:
    with serving("--kv-cache-memory", "64MiB") as server:
        children = psutil.Process(server.process.pid).children(recursive=True)
        body = {"model": "portico-demo", "prompt": "hi", "max_tokens": 300, "ignore_eos": True, "stream": True}
        with httpx.stream("POST", f"{server.url}/v1/completions", json=body, timeout=60) as answer:
            lines = answer.iter_lines()
            next(lines)
            os.kill(server.process.pid, number)
            assert [line for line in lines if line][-1] == "data: [DONE]"
        assert server.process.wait(20) == 0
        assert children
        assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_a_second_signal_ends_at_once() -> None:
    with serving("--drain-timeout", "600", "--kv-cache-memory", "64MiB") as server:
        body = {"model": "portico-demo", "prompt": "hi", "max_tokens": 3900, "ignore_eos": True, "stream": True}
        with httpx.stream("POST", f"{server.url}/v1/completions", json=body, timeout=60) as answer:
            next(answer.iter_lines())
            os.kill(server.process.pid, signal.SIGINT)
            os.kill(server.process.pid, signal.SIGINT)
            assert server.process.wait(30) == 0


def test_several_names_and_keys() -> None:
    flags = ("--served-model-name", "gpt", "llama", "--api-key", "one", "--api-key", "two")
    with serving(*flags, "--kv-cache-memory", "64MiB", "--kv-cache-dtype", "int8") as server:
        assert "tokens in int8; model" in server.banner
        url = f"{server.url}/v1/models"
        assert httpx.get(url).status_code == 401
        for key in ("one", "two"):
            models = httpx.get(url, headers={"Authorization": f"Bearer {key}"}).json()["data"]
            assert [model["id"] for model in models] == ["gpt", "llama"]


def test_no_search_for_garbage_goes_through_all_that_was_loaded(tmp_path: Path) -> None:
    """It would stop every stream, and every refusal, for the better part of 100 ms."""
    (tmp_path / "sitecustomize.py").write_text(
        "import gc, os, signal\n"
        "def tell(number, frame):\n"
        f"    with open(f'{tmp_path}/{{os.getpid()}}.part', 'w') as file:\n"
        "        print(gc.get_freeze_count(), len(gc.get_objects()), file=file)\n"
        f"    os.rename(file.name, f'{tmp_path}/{{os.getpid()}}')\n"
        "signal.signal(signal.SIGUSR1, tell)\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    with serving("--session-store", "memory:", PYTHONPATH=path) as server:
        front = psutil.Process(server.process.pid)
        (engine,) = (child for child in front.children() if "portico.build" in child.cmdline())
        for process in (front, engine):
            process.send_signal(signal.SIGUSR1)
            told = tmp_path / str(process.pid)
            for _ in range(600):
                if told.exists():
                    break
                time.sleep(0.05)
            frozen, searched = map(int, told.read_text().split())
            assert frozen > 10 * searched
