"""Every major version of the openai package, each in an environment of its own (`make clients-test` makes them)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKS = "chat, tools, errors, others, responses"


@pytest.mark.parametrize("major", [1, 2, 3])
def test_a_major_version(url: str, major: int) -> None:
    python = ROOT / f".venv-openai/{major}/bin/python"
    script = ROOT / "tests/clients/openai_versions.py"
    done = subprocess.run([python, script, url], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"openai {major}.")
    assert done.stdout.rstrip().endswith(CHECKS)
