"""A server of our own, started for a measurement."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from portico.errors import PorticoError

END_SECONDS = 20.0


@contextmanager
def started(model: str | None, flags: Sequence[str]) -> Iterator[str]:
    """The URL of `portico serve` with a model, ready on a free port; PorticoError if it does not start."""
    command = [sys.executable, "-m", "portico.cli.main", "serve", *([] if model is None else [model]), *flags]
    process = subprocess.Popen(
        [*command, "--port", "0", "--log-level", "warning"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            found = re.search(r"https?://[^/\s]+:\d+", line)
            if found:
                yield found[0]
                return
        raise PorticoError(f"the server ended with status {process.wait()}")
    finally:
        process.terminate()
        try:
            process.communicate(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
