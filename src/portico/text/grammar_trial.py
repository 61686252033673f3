"""Grammars are compiled on trial, in a process of their own, before the engine sees them: some never end."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
from collections import OrderedDict
from threading import Lock

from portico.errors import RequestError
from portico.text.grammar_worker import CPU_SECONDS, MEMORY

REMEMBERED = 1024
"""Grammars of which the outcome is known."""


class GrammarTrial:
    """Tells grammars that can be compiled from those that take too long or too much; may be used by several threads.

    What a schema costs does not show: one with two `multipleOf` makes a table of as many states as their product.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[bytes, bool] = OrderedDict()
        self._worker: subprocess.Popen[str] | None = None

    def check(self, grammar: str, field: str) -> None:
        """RequestError naming the field for a grammar, in llguidance's form, that costs too much."""
        digest = hashlib.sha256(grammar.encode("utf-8", "surrogatepass")).digest()
        with self._lock:
            if digest not in self._known:
                self._known[digest] = self._compiles(grammar)
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
            self._known.move_to_end(digest)
            passed = self._known[digest]
        if not passed:
            raise RequestError(
                f"{field} cannot be honoured: compiling it takes more than {CPU_SECONDS} seconds or "
                f"{MEMORY // 2**20} MiB.",
                param=field,
                code="invalid_value",
            )

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _compiles(self, grammar: str) -> bool:
        if self._worker is not None and self._worker.poll() is not None:  # not by its latest grammar, which it answered
            self._end()
        worker = self._worker = self._worker or _start()
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            worker.stdin.write(json.dumps(grammar) + "\n")
            worker.stdin.flush()
            answered = bool(worker.stdout.readline())
        except OSError:
            answered = False
        if not answered:
            self._end()
        return answered

    def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        worker.kill()
        worker.wait()
        for pipe in (worker.stdin, worker.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what it has not read cannot be written any more
                    pipe.close()


def _start() -> subprocess.Popen[str]:
    """The process; it ends when its standard input does, so with this one."""
    return subprocess.Popen(
        [sys.executable, "-m", "portico.text.grammar_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
