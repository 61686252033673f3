"""The hub path against a hub of our own on loopback: first from the network, then from the cache alone."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.tiny_models import make_tiny_model

COMMIT = "c" * 40
CODE = "import sys; from portico.weights.places import resolve_model; print(resolve_model(sys.argv[1]))"


class Hub(ThreadingHTTPServer):
    """Serves one model, org/tiny, and knows of a gated one, org/gated; counts what it is asked."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.served: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/api/models/org/gated") or path.startswith("/org/gated"):
            self.send(403, b"{}", {"X-Error-Code": "GatedRepo"}, with_body)
        elif path.startswith("/api/models/org/tiny"):
            names = sorted(file.name for file in self.server.folder.iterdir())
            info = {"id": "org/tiny", "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
            if "/tree/" in path:
                files = [self.server.folder / name for name in names]
                body = [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0" * 40} for f in files]
                self.send(200, json.dumps(body).encode(), {}, with_body)
            else:
                self.send(200, json.dumps(info).encode(), {}, with_body)
        elif path.startswith("/org/tiny/resolve/"):
            file = self.server.folder / path.rsplit("/", 1)[1]
            data = file.read_bytes()
            self.server.served.append(file.name)
            etag = hashlib.sha256(data).hexdigest()
            self.send(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}, with_body)
        else:
            self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, with_body)

    def send(self, status: int, body: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    folder = tmp_path / "repository"
    make_tiny_model("llama", folder)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    server = Hub(folder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def resolve(name: str, cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the hub library reads the environment when it is imported."""
    env = {**os.environ, "HF_HOME": str(cache), "HF_HUB_DISABLE_TELEMETRY": "1", **environment}
    return subprocess.run([sys.executable, "-c", CODE, name], capture_output=True, text=True, env=env, check=False)


def test_a_model_is_fetched_once_without_pickles_and_found_offline(hub: Hub, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = resolve("org/tiny", cache, HF_ENDPOINT=hub.url)
    assert first.returncode == 0, first.stderr
    folder = Path(first.stdout.strip())
    assert (folder / "config.json").exists()
    assert (folder / "model.safetensors").read_bytes() == (hub.folder / "model.safetensors").read_bytes()
    assert "pytorch_model.bin" not in hub.served
    served = len(hub.served)
    offline = resolve("org/tiny", cache, HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="1")
    assert offline.stdout == first.stdout
    assert len(hub.served) == served


@pytest.mark.parametrize("name", ["HF://org/tiny", "hf://org/tiny/", "https://huggingface.co/org/tiny"])
def test_a_name_may_say_that_it_is_of_the_hub(hub: Hub, tmp_path: Path, name: str) -> None:
    found = resolve(name, tmp_path / "cache", HF_ENDPOINT=hub.url)
    assert (Path(found.stdout.strip()) / "config.json").exists(), found.stderr


@pytest.mark.parametrize(
    ("name", "offline", "words"),
    [
        ("org/none", "0", "has no model org/none"),
        ("org/gated", "0", "gated"),
        ("org/tiny", "1", "HF_HUB_OFFLINE"),
        ("no such name", "0", "owner/name"),
        ("HF://tiny", "0", "HF://owner/name"),
    ],
)
def test_each_failure_is_told_with_its_remedy(hub: Hub, tmp_path: Path, name: str, offline: str, words: str) -> None:
    done = resolve(name, tmp_path / "cache", HF_ENDPOINT=hub.url, HF_HUB_OFFLINE=offline)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "CheckpointError" in last
    assert words in last


def test_an_unreachable_hub_is_told(tmp_path: Path) -> None:
    done = resolve("org/tiny", tmp_path / "cache", HF_ENDPOINT="http://127.0.0.1:1")
    assert "could not be fetched from http://127.0.0.1:1" in done.stderr.strip().splitlines()[-1]
