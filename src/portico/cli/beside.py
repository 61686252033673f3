"""Another verb of Portico as a child process that ends with this one, however this one ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from portico.errors import PorticoError

_URL = re.compile(r" at (https?://\S+?:\d+)")


@dataclass(frozen=True, slots=True)
class Beside:
    """A child that is ready."""

    process: subprocess.Popen[str]
    url: str
    said: str
    """The first line it printed."""
    log: IO[str]

    def close(self) -> None:
        """End it, gently at first."""
        _end(self.process)
        self.log.close()


def start(verb: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Beside:
    """Start `portico VERB …` and wait until it prints its URL; PorticoError with its last line if it ends before."""
    log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - as long as the child
    process = subprocess.Popen(
        [sys.executable, "-m", "portico.cli.beside", verb, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        start_new_session=True,  # Ctrl-C is for this process
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if found := _URL.search(line):
                threading.Thread(target=process.stdout.read, daemon=True).start()
                return Beside(process, found[1], line.strip(), log)
        process.wait()
        log.seek(0)
        lines = [line for line in log.read().splitlines() if line.strip()]
        raise PorticoError(re.sub(rf"^portico {verb}: ", "", lines[-1]) if lines else f"{verb} ended without a word")
    except BaseException:
        _end(process)
        log.close()
        raise


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _end_with_parent(stop: Callable[[], None]) -> None:
    def watch() -> None:
        os.read(0, 1)  # nothing is ever written: it returns when the parent is gone
        stop()

    threading.Thread(target=watch, daemon=True).start()


def _child() -> int:
    from portico.cli.main import main

    _end_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(_child())
