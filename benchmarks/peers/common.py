"""What all engines share: shapes, samples, environments, processes. Every environment imports it: no dependencies."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".peers"
LIMIT = 1800
"""Seconds that one measuring process may take."""

Setting = Mapping[str, str | int | bool]


class UnavailableError(Exception):
    """An engine cannot be installed, prepared or measured here; the message says why."""


@dataclass(frozen=True, slots=True)
class Shape:
    """So many sequences together, each with a prompt of so many tokens that nothing shares, continued by so many."""

    name: str
    sequences: int
    prompt: int
    new_tokens: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of one shape."""

    first: float
    """Seconds until every sequence has its first token."""
    rate: float | None
    """Tokens a second of all sequences after that, until the first of them ends; None where only one was asked for."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one process, running alone, gave."""

    ready: float
    """Seconds from the start of a process until it takes requests."""
    samples: dict[str, Sample]


@dataclass(frozen=True, slots=True)
class Peer:
    """An engine: what it is called, the bits of each of its formats, settings worth trying, and how it is run."""

    name: str
    formats: Mapping[str, int]
    settings: Sequence[Setting]
    ready: str
    """What counts as ready to take requests."""
    install: Callable[[], str]
    """Make its environment unless it is there; returns its version. Raises UnavailableError."""
    prepare: Callable[[Path, str], Path]
    """From the checkpoint and a format to the files that it loads. Raises UnavailableError."""
    measure: Callable[[Path, str, Setting, Sequence[Shape]], Measured]
    """Run alone, in fresh processes. Raises UnavailableError."""


def cores() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0))


def prompts(shape: Shape, vocabulary: int, turn: int) -> list[list[int]]:
    """Token ids of the prompts of a shape; another turn has others, so that no cache of prefixes knows them."""
    return [
        [256 + (turn * 50021 + n * 7919 + i * 104729) % (vocabulary - 256) for i in range(shape.prompt)]
        for n in range(shape.sequences)
    ]


def follow(shape: Shape, step: Callable[[], Iterable[tuple[int, int]]]) -> Sample:
    """Time sequences that were just added; `step` gives the sequences that went on and how many tokens each got."""
    got = [0] * shape.sequences

    def advance() -> None:
        for index, tokens in step():
            got[index] += tokens

    start = time.perf_counter()
    while min(got) == 0:
        advance()
    begun, before = time.perf_counter(), sum(got)
    if max(got) >= shape.new_tokens:
        return Sample(begun - start, None)
    while max(got) < shape.new_tokens:
        advance()
    return Sample(begun - start, (sum(got) - before) / (time.perf_counter() - begun))


def short(shape: Shape) -> Shape:
    """The same shape with few tokens to generate, for touching all memory before anything counts."""
    return Shape(shape.name, shape.sequences, shape.prompt, min(shape.new_tokens, 4))


# Environments


def environment(name: str, *requirements: str, without: Sequence[str] = ()) -> Path:
    """The Python of an environment under the peers' folder, made when it is not there.

    What is named in `without` is taken out again: companions of torch that were built for another torch than the one
    for CPUs break the import of everything that looks for them.
    """
    folder = HOME / name
    python, stamp = folder / "bin" / "python", folder / "requirements"
    wanted = "\n".join(requirements)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    run(name, sys.executable, "-m", "venv", str(folder))
    run(name, str(python), "-m", "pip", "install", *requirements)
    if without:
        run(name, str(python), "-m", "pip", "uninstall", "--yes", *without)
    stamp.write_text(wanted)
    return python


def version(python: Path, package: str) -> str:
    """The version of a package in an environment."""
    command = [str(python), "-c", f"import importlib.metadata as m; print(m.version({package!r}))"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def log(name: str) -> IO[str]:
    """Where what the engine's processes say goes to."""
    folder = HOME / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / f"{name}.log").open("a+")


def run(name: str, *command: str, env: Mapping[str, str] | None = None, limit: float = 4 * 3600) -> str:
    """What a command printed; its errors go to the engine's log. Raises UnavailableError with its last words."""
    with log(name) as errors:
        errors.write(f"$ {' '.join(command)}\n")
        errors.flush()
        begin = errors.seek(0, os.SEEK_END)
        try:
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                timeout=limit,
                cwd=ROOT,
                env=os.environ | (env or {}),
            )
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"{Path(command[0]).name} took longer than {limit:.0f} s") from None
        errors.write(done.stdout)
        if done.returncode:
            raise UnavailableError(_last_words(errors, begin, command, done.returncode))
        return done.stdout


def _last_words(errors: IO[str], begin: int, command: Sequence[str], status: int) -> str:
    errors.flush()
    errors.seek(begin)
    lines = [line.strip() for line in errors if line.strip()]
    telling = [line for line in lines if re.search(r"error|fatal|not found", line, re.IGNORECASE)] or lines
    words = telling[-1][:200] if telling else "nothing said"
    return f"{Path(command[0]).name} ended with status {status}: {words} (log: {os.path.relpath(errors.name, ROOT)})"


# Processes that measure


def work(
    name: str, python: Path, module: str, job: Mapping[str, Any], env: Mapping[str, str] | None = None
) -> Measured:
    """Run a worker: `module` in its environment, with a job; see `worker` for its side."""
    command = [str(python), "-m", module, json.dumps(job)]
    with log(name) as errors:
        errors.write(f"$ {' '.join(command)}\n")
        errors.flush()
        begin = errors.seek(0, os.SEEK_END)
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, env=os.environ | (env or {})
        )
        watch = threading.Timer(LIMIT, process.kill)
        watch.start()
        try:
            ready, samples = _read_worker(process, start)
        finally:
            watch.cancel()
            with suppress(ProcessLookupError):
                process.kill()
            status = process.wait()
        if samples is None:
            raise UnavailableError(_last_words(errors, begin, command[:1], status))
        return Measured(ready, samples)


def _read_worker(process: subprocess.Popen[str], start: float) -> tuple[float, dict[str, Sample] | None]:
    ready = 0.0
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("READY"):
            ready = time.perf_counter() - start
        elif line.startswith("RESULT "):
            found = json.loads(line.removeprefix("RESULT "))
            return ready, {name: Sample(**sample) for name, sample in found.items()}
    return ready, None


def worker(load: Callable[[dict[str, Any]], Callable[[Shape, int], Sample]]) -> None:
    """The other side of `work`: load, say so, take every shape once shortly and once for good, say the samples."""
    job = json.loads(sys.argv[1])
    shapes = [Shape(**shape) for shape in job["shapes"]]
    measure = load(job)
    print("READY", flush=True)
    for turn, shape in enumerate(shapes):
        measure(short(shape), turn)
    samples = {shape.name: asdict(measure(shape, len(shapes) + turn)) for turn, shape in enumerate(shapes)}
    print("RESULT " + json.dumps(samples), flush=True)
    os._exit(0)  # some engines do not end by themselves


def seconds_to_healthy(name: str, *command: str, port: int, env: Mapping[str, str] | None = None) -> float:
    """Seconds from the start of a server until GET /health answers 200; the server is ended then."""
    with log(name) as errors:
        errors.write(f"$ {' '.join(command)}\n")
        errors.flush()
        begin = errors.seek(0, os.SEEK_END)
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=errors, stderr=errors, cwd=ROOT, env=os.environ | (env or {}))
        try:
            while time.perf_counter() - start < LIMIT:
                if process.poll() is not None:
                    raise UnavailableError(_last_words(errors, begin, command, process.returncode))
                if _is_healthy(port):
                    return time.perf_counter() - start
                time.sleep(0.02)
            raise UnavailableError(f"the server was not ready within {LIMIT} s")
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
