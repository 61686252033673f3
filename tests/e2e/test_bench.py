"""`portico bench` as a person would run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from portico.cli.main import main
from tests.e2e.serving import Server

COMMAND = [sys.executable, "-m", "portico.cli.main", "bench"]
SMALL = ["--num-prompts", "4", "--input-len", "20", "--output-len", "8", "--ignore-eos"]
ENGINE = ["--threads", "1", "--kv-cache-memory", "64MiB"]


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_a_sweep_of_a_server_with_figures_and_pictures(demo: Server, tmp_path: Path) -> None:
    save, plot = tmp_path / "made" / "figures.json", tmp_path / "plots"
    done = bench(
        demo.url, *SMALL, "--backend", "openai-chat", "--concurrency", "2,1", "--save", save, "--save-detailed",
        "--plot", plot, "--goodput", "ttft:60000", "--seed", "5",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for word in ("TTFT", "TPOT", "ITL", "E2EL", "at once", "portico-demo at http", "seed 5", "that met the goals"):
        assert word in done.stdout
    found = json.loads(save.read_text())
    assert (found["seed"], found["backend"], found["fields"]) == (5, "openai-chat", {"ignore_eos": True})
    for level, one in zip((1, 2), found["levels"], strict=True):
        assert (one["max_concurrency"], one["completed"], one["total_output_tokens"]) == (level, 4, 32)
        assert one["uncounted"] == 0
        assert one["request_goodput"] == one["request_throughput"]
        assert 0 < one["median_ttft_ms"] <= one["median_ttft_text_ms"] < one["median_e2el_ms"]
        assert one["output_lens"] == [8] * 4
        assert [len(gaps) > 0 for gaps in one["itls"]] == [True] * 4
    for name in ("latency.png", "concurrency.png"):
        assert (plot / name).read_bytes().startswith(b"\x89PNG")


def test_prompts_of_a_file_and_turns(demo: Server, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    said = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}, {"from": "human", "value": "Bye"}]
    prompts.write_text('"What is tea?"\n{"prompt": "One", "max_tokens": 3}\n' + json.dumps({"conversations": said}))
    save = tmp_path / "figures.json"
    done = bench(demo.url, "--prompts", prompts, "--num-prompts", "3", "--turns", "2", "--output-len", "5",
                 "--ignore-eos", "--save", save, "--save-detailed", "--num-warmups", "0")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(json.loads(save.read_text())["output_lens"]) == [3, 5, 5, 5]


def test_the_engine_alone(tmp_path: Path) -> None:
    save = tmp_path / "figures.json"
    done = bench("--engine", *SMALL, "--turns", "2", "--save", save, "--", *ENGINE)
    assert done.returncode == 0, done.stderr
    found = json.loads(save.read_text())
    assert found["backend"] == "engine"
    # Second turns know the first, which the engine has: 20 + (20 + 8 + 20).
    assert (found["completed"], found["total_input_tokens"], found["total_output_tokens"]) == (8, 4 * 68, 64)
    assert found["cached_input_tokens"] >= 4 * 16


def test_a_server_that_it_starts_itself() -> None:
    done = bench(*SMALL, "--max-concurrency", "2", "--", *ENGINE)
    assert done.returncode == 0, done.stderr
    assert "requests answered" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["127.0.0.1:9"], "there is no answer: 127.0.0.1:9"),
        (["--duration", "5"], "--duration needs --request-rate"),
        (["--concurrency", "1,x"], "'x' must be a whole number from 1"),
        (["--random-range-ratio", "1.5"], "from 0 to below 1"),
        (["--goodput", "speed:5"], "speed:5 has no known term"),
        (["http://a:1", "--engine"], "is a server that runs"),
        (["--prompts", "/nowhere"], "/nowhere"),
        (["--save-detailed"], "--save-detailed needs --save"),
        (["--header", "nothing"], "nothing must be KEY=VALUE"),
        (["ftp://host"], "is no URL of a server"),
        (["--extra-body", "[1]"], "must be a JSON object"),
        (["--engine", "--extra-body", '{"seed": 1}'], "does not know the field seed"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", *arguments])
    assert ended.value.code in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_model_that_is_not_there(demo: Server) -> None:
    done = bench(demo.url, *SMALL, "--model", "another")
    assert done.returncode == 1
    assert "the first request failed: HTTP 404" in done.stderr
    done = bench(demo.url, *SMALL, "--model", "another", "--num-warmups", "0")
    assert done.returncode == 1
    assert "4 failed: HTTP 404" in done.stdout


@pytest.mark.parametrize("columns", [80, 160])
def test_help_tells_the_terms(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    told = bench("--help").stdout
    assert max(map(len, told.splitlines())) < columns
    text = " ".join(told.split())
    for term in (
        "TTFT, time to first token: from sending",
        "TPOT, time per",
        "ITL, inter-",
        "E2EL, end-to-end",
        "vllm",
    ):
        assert term in text
