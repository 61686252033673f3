"""Starting `portico serve` as a person would, and waiting for what it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PYTHON = os.environ.get("PORTICO_PYTHON", sys.executable)
"""The interpreter that Portico is installed for; another than that of the tests if these have their own environment."""
COMMAND = [PYTHON, "-m", "portico.cli.main", "serve"]
ANY_PORT = ("--port", "0", "--threads", "1")
ENVIRONMENT = {"PYTHONUNBUFFERED": "1"}
"""Beside the variables of the tests themselves."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    banner: str
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@contextmanager
def serving(
    *flags: str,
    command: Sequence[str] = COMMAND,
    tail: Sequence[str] = ANY_PORT,
    folder: Path | None = None,
    **environment: str,
) -> Iterator[Server]:
    """A server on a free port unless `tail` says another, ready; ended with SIGTERM, and its exit status must be 0."""
    process = subprocess.Popen(
        [*command, *flags, *tail],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | ENVIRONMENT | environment,
        cwd=folder,
    )
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "stop: Ctrl-C" in line:
                break
        banner = "".join(lines)
        found = re.search(r"https?://[^/\s]+:\d+", banner)
        assert found, banner
        yield Server(process, banner, found[0])
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


def refused(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A server that must not start: its exit status and what it says."""
    return subprocess.run(
        [*COMMAND, *flags],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | ENVIRONMENT | environment,
        check=False,
    )
