"""`portico doctor`: facts that the system tells too, a model that fits, and one that does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from benchmarks.checkpoint import CONFIG, weight_count


def doctor(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "portico", "doctor", *arguments],
        capture_output=True, text=True, check=False, timeout=120, env=os.environ | environment,
    )  # fmt: skip


def facts(*arguments: str, status: int = 0, **environment: str) -> dict[str, Any]:
    done = doctor(*arguments, "--json", **environment)
    assert done.returncode == status, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_the_machine(tmp_path: Path) -> None:
    told = facts(PORTICO_CACHE_DIR=str(tmp_path / "none" / "yet"))
    assert told["problems"] == []
    assert told["memory"]["total"] <= psutil.virtual_memory().total
    assert 1 <= told["processor"]["cores_to_use"] <= told["processor"]["allowed_threads"] <= os.cpu_count()  # type: ignore[operator]
    assert told["cache"]["folder"].startswith(str(tmp_path))
    assert (told["cache"]["files"], told["cache"]["size"]) == (0, 0)
    assert told["versions"]["torch"].startswith("2.")


def test_a_model_that_fits_is_read_within_80_columns() -> None:
    done = doctor("portico-demo")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "All is well: portico-demo can be served as asked."
    assert any(line.startswith("* float32") and "26.2 MB" in line for line in lines)


def test_a_model_is_reckoned_by_its_config_alone(tmp_path: Path) -> None:
    """Its weights need not be there."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    model = facts(str(tmp_path), "--kv-cache-dtype", "int8", "--dtype", "float32")["model"]
    table = CONFIG["vocab_size"] * CONFIG["hidden_size"]  # type: ignore[operator]
    assert model["parameters"] == weight_count()
    # The embedding is kept twice: packed for the head, and as rows, which are converted from bfloat16.
    assert model["weights"] == 4 * (weight_count() + table)
    assert model["formats"]["int8"]["weights"] < model["weights"] / 4
    assert model["kv_bytes_per_token"] == 28 * 2 * 8 * (128 + 4)


def test_what_does_not_fit_is_one_problem_and_status_1(tmp_path: Path) -> None:
    huge = {**CONFIG, "num_hidden_layers": 2_000, "hidden_size": 16384, "intermediate_size": 65536}
    (tmp_path / "config.json").write_text(json.dumps(huge))
    (problem,) = facts(str(tmp_path), status=1)["problems"]
    assert problem.startswith("too little memory: weights take")
    (problem,) = facts(str(tmp_path / "nowhere"), status=1)["problems"]
    assert "nowhere" in problem


def test_serving_what_does_not_fit_is_one_line() -> None:
    asked = ["--kv-cache-memory", "900GiB", "--port", "0", "--log-level", "critical"]
    served = subprocess.run(
        [sys.executable, "-m", "portico", "serve", *asked], capture_output=True, text=True, check=False, timeout=120
    )
    assert served.returncode != 0
    (line,) = served.stderr.splitlines()
    assert "too little memory" in line
    assert "What fits: --kv-cache-memory from" in line
