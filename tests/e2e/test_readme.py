"""Every code block of the README and of docs/, run as it stands, on the port of a test server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.serving import Server

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(language, code, id=f"{page}-{number}-{language}")
    for page in ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")))
    for number, (language, code) in enumerate(BLOCK.findall((ROOT / page).read_text(encoding="utf-8")))
]
SAID = {
    "告诉我中国的首都在哪里": "中国的首都是北京。",
    "two steps to build a house": "2. ",
    "What is {n} + 17?": "so 25 + 17 = 42.",
}
"""What a block that asks this must print."""


def test_there_are_blocks() -> None:
    assert len(BLOCKS) >= 3
    assert all(any(question in block.values[1] for block in BLOCKS) for question in SAID)  # type: ignore[operator]


@pytest.mark.parametrize(("language", "code"), BLOCKS)
def test_block(demo: Server, language: str, code: str) -> None:
    command = {"python": [sys.executable, "-c"], "sh": ["bash", "-ec"]}[language]
    code = code.replace("127.0.0.1:8000", f"127.0.0.1:{demo.port}")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([*command, code], capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    for question, answer in SAID.items():
        if question in code:
            assert answer in done.stdout
