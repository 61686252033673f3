"""Clients that leave, servers that are told to stop, fronts that are killed: nothing goes on that nobody waits for."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.reliability import every_door
from tests.e2e.serving import ANY_PORT, COMMAND, ENVIRONMENT, Server, serving

SMALL = ("--kv-cache-memory", "64MiB")
LONG = {"model": "portico-demo", "prompt": "hi", "max_tokens": 3900, "ignore_eos": True, "stream": True}
AT_ONCE = 12


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def engines_of(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children() if "portico.build" in child.cmdline()]


async def test_each_door_answers(demo: Server) -> None:
    """Else the next test would show nothing."""
    for request in every_door.every_door(4):
        status, answer = await every_door.answered(demo.port, request)
        assert status == 200, (request, answer)
        assert b'"error"' not in answer


async def test_clients_that_leave_at_any_byte_leave_nothing_behind(demo: Server) -> None:
    rng = random.Random(0)
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(request: every_door.Request, seed: int) -> None:
        async with gate:
            await every_door.left(demo.port, request, random.Random(seed), patience=0.25)

    # Answers of 3900 tokens: none of them ends by itself while this test runs.
    requests = [request for request in every_door.every_door(3900) for _ in range(4)]
    rng.shuffle(requests)
    await asyncio.gather(*(one(request, rng.getrandbits(32)) for request in requests))
    before = (await every_door.health(demo.port))["generated_tokens"]
    state = await every_door.idle(demo.port)
    assert (state["running"], state["waiting"], state["blocks_used"]) == (0, 0, 0)
    assert state["generated_tokens"] - before < 3900
    status, _ = await every_door.answered(demo.port, every_door.every_door(4)[0])
    assert status == 200


def test_what_runs_longer_than_the_time_to_drain_is_told_so_and_the_exit_is_clean() -> None:
    with serving("--drain-timeout", "0.5", *SMALL) as server:
        with httpx.stream("POST", f"{server.url}/v1/completions", json=LONG, timeout=60) as answer:
            lines = answer.iter_lines()
            next(lines)
            server.process.send_signal(signal.SIGTERM)
            events = [line.removeprefix("data: ") for line in lines if line]
        assert json.loads(events[-2])["error"]["code"] == "shutting_down"
        assert events[-1] == "[DONE]"
        assert server.process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_model_is_loaded_ends_it(number: signal.Signals, tmp_path: Path) -> None:
    process, engine = _starting(tmp_path)
    process.send_signal(number)
    assert process.wait(20) == 0
    until(lambda: ended(engine))


def test_a_front_that_is_killed_while_it_loads_leaves_no_engine(tmp_path: Path) -> None:
    process, engine = _starting(tmp_path)
    process.kill()
    process.wait()
    until(lambda: ended(engine))


@pytest.mark.parametrize("hangs", [False, True])
def test_a_front_that_is_killed_leaves_no_engine_and_no_file(hangs: bool, tmp_path: Path) -> None:
    environment = os.environ | ENVIRONMENT | {"TMPDIR": str(tmp_path)}
    command = [*COMMAND, *SMALL, *ANY_PORT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "http://" in line)
        url = line.split(" at ")[1].strip()
        (engine,) = engines_of(process.pid)
        with httpx.stream("POST", f"{url}/completions", json=LONG, timeout=60) as answer:
            next(answer.iter_lines())  # a step is running
            if hangs:
                engine.suspend()
            process.kill()
        process.wait()
        until(lambda: ended(engine))
    assert not list(tmp_path.iterdir())


def _starting(tmp_path: Path) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A server that has begun to start its engine."""
    environment = os.environ | ENVIRONMENT | {"TMPDIR": str(tmp_path)}
    process = subprocess.Popen([*COMMAND, *SMALL, *ANY_PORT], stdout=subprocess.DEVNULL, text=True, env=environment)
    found: list[psutil.Process] = []

    def engine() -> bool:
        found[:] = [p for p in engines_of(process.pid) if "libtorch_cpu" in _maps(p)]  # it imports torch: it is at it
        return bool(found)

    until(engine)
    return process, found[0]


def _maps(process: psutil.Process) -> str:
    try:
        return Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")
    except OSError:
        return ""
