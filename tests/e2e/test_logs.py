"""What a running server writes: lines that can be read by machines, and never a key, nor a prompt unless asked."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.serving import COMMAND, ENVIRONMENT

KEY, WRONG, PROMPT = "sk-verysecret-1", "sk-notthis-2", "Abrakadabra"
SMALL = ("--port", "0", "--threads", "1", "--kv-cache-memory", "16MiB", "--log-level", "debug")


@dataclass
class Watched:
    """A running server whose words are kept."""

    url: str
    process: subprocess.Popen[str]
    words: Path
    command_lines: str = ""
    """Of its engine."""

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.words.read_text().splitlines()]


@contextmanager
def watched(folder: Path, *flags: str, **environment: str) -> Iterator[Watched]:
    """A server that has ended when the block has, with all that it wrote on standard error."""
    words = folder / "stderr"
    with words.open("w") as stderr:
        process = subprocess.Popen(
            [*COMMAND, *SMALL, *flags], stdout=subprocess.PIPE, stderr=stderr, text=True,
            env=os.environ | ENVIRONMENT | environment,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        banner = ""
        while "stop: Ctrl-C" not in banner:
            line = process.stdout.readline()
            assert line, words.read_text()
            banner += line
        url = "http://127.0.0.1:" + banner.partition("http://127.0.0.1:")[2].partition("/")[0]
        engines = psutil.Process(process.pid).children(recursive=True)
        server = Watched(url, process, words, " ".join(" ".join(engine.cmdline()) for engine in engines))
        yield server
        process.terminate()
        assert process.wait(20) == 0
        with words.open("a") as more:
            more.write("")
        (folder / "stdout").write_text(banner + process.stdout.read())
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("by", ["flag", "environment"])
def test_no_key_and_no_prompt_is_ever_written(tmp_path: Path, by: str) -> None:
    key, environment = (("--api-key", KEY), {}) if by == "flag" else ((), {"PORTICO_API_KEY": KEY})
    flags = ("--log-format", "json", "--enable-tracing", "--enable-debug", *key)
    with watched(tmp_path, *flags, **environment) as server, httpx.Client(base_url=server.url, timeout=60) as http:
        asked = {"prompt": PROMPT, "max_tokens": 2}
        refused = http.post("/v1/completions", json=asked, headers={"authorization": f"Bearer {WRONG}"})
        assert refused.status_code == 401
        http.headers["authorization"] = f"Bearer {KEY}"
        answer = http.post("/v1/completions", json=asked, headers={"x-request-id": "ours-7"})
        assert answer.status_code == 200
        http.post("/v1/completions", json={**asked, "temperature": -1})
        told = [http.get(f"/{path}").text for path in ("server_info", "metrics", "openapi.json", "health", "v1/models")]
        told.append(http.post("/debug/dump_event_trace", json={}).text)
    assert server.command_lines
    written = [(tmp_path / name).read_text() for name in ("stderr", "stdout")]
    for text in (*written, *told, server.command_lines):
        assert KEY not in text
        assert WRONG not in text
        assert PROMPT not in text
    lines = server.lines()
    for line in lines:
        assert {"time", "level", "process", "logger", "message"} <= set(line)
    assert {"server", "engine"} == {line["process"] for line in lines}
    (mine,) = [line for line in lines if line.get("x_request_id") == "ours-7"]
    assert mine["request_id"] == answer.json()["id"]
    assert (mine["method"], mine["path"], mine["status"]) == ("POST", "/v1/completions", 200)
    assert [line["status"] for line in lines if line.get("path") == "/v1/completions"] == [401, 200, 400]


def test_prompts_are_written_for_whoever_asks(tmp_path: Path) -> None:
    quiet = ("--disable-access-log-for-endpoints", "/metrics,/v1/models")
    asked = ("--log-prompts", "--max-log-len", "5", "--log-format", "json", "--log-level", "info", *quiet)
    with watched(tmp_path, *asked) as server, httpx.Client(base_url=server.url, timeout=60) as http:
        answer = http.post("/v1/completions", json={"prompt": PROMPT, "max_tokens": 2, "seed": 3})
        http.get("/metrics")
        http.get("/v1/models")
        http.get("/load")
    (line,) = [line for line in server.lines() if "prompt" in line]
    assert line["prompt"] == PROMPT[:5]
    assert line["request_id"] == answer.json()["id"]
    assert line["params"]["seed"] == 3  # type: ignore[index]
    assert [line["path"] for line in server.lines() if "path" in line] == ["/v1/completions", "/load"]
