"""The client and a real engine process: streams, cancels, and every way the process can end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable

import psutil
import pytest

from portico.config.engine import EngineConfig
from portico.engine.client import AsyncEngineClient
from portico.engine.link import EngineProcess
from portico.errors import EngineError
from portico.protocol.messages import Add
from portico.protocol.sampling import TokenParams
from tests.engine.fake_process import CONTEXT
from tests.engine.fake_runner import expected_output

FAKE = "tests.engine.fake_process"


@pytest.fixture
async def client() -> AsyncIterator[AsyncEngineClient]:
    client = AsyncEngineClient(EngineProcess(EngineConfig(model_path="fake"), FAKE))
    await client.wait_loaded()
    yield client
    await client.close()


def add(request_id: str, prompt: list[int], max_tokens: int = 8, n: int = 1) -> Add:
    return Add(request_id, prompt, TokenParams(max_tokens=max_tokens, seed=1), n)


async def collect(client: AsyncEngineClient, request: Add) -> dict[int, list[int]]:
    tokens: dict[int, list[int]] = {choice: [] for choice in range(request.n)}
    async for events in client.submit(request):
        for event in events:
            tokens[event.choice] += event.token_ids
    return tokens


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_many_streams_at_once_each_get_their_own(client: AsyncEngineClient) -> None:
    requests = [add(f"r{i}", [i % 50, 2, 3], n=1 + i % 3) for i in range(40)]
    answers = await asyncio.gather(*(collect(client, request) for request in requests))
    for request, answer in zip(requests, answers, strict=True):
        for choice in range(request.n):
            assert answer[choice] == expected_output(request.prompt_ids, request.params, choice, CONTEXT)[0]
    assert client.stats is not None
    assert client.stats.blocks_used == 0


async def test_leaving_a_stream_cancels_it(client: AsyncEngineClient) -> None:
    stream = client.submit(add("a", [1, 2, 3], max_tokens=4000))
    async for _ in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]
    await until(lambda: client.stats is not None and client.stats.running == 0 and client.stats.blocks_used == 0)


async def test_a_cancelled_choice_ends_alone(client: AsyncEngineClient) -> None:
    request = add("a", [1, 2, 3], n=2, max_tokens=20)
    seen: dict[int, list[int]] = {0: [], 1: []}
    async for events in client.submit(request):
        for event in events:
            seen[event.choice] += event.token_ids
        if len(seen[0]) == 2:
            await client.cancel("a", 0)
    assert len(seen[0]) == 2
    assert seen[1] == expected_output(request.prompt_ids, request.params, 1, CONTEXT)[0]


@pytest.mark.parametrize(("model", "words"), [("broken", "the folder holds no model"), ("crash", "status 7")])
async def test_an_engine_that_cannot_start_says_why(model: str, words: str) -> None:
    client = AsyncEngineClient(EngineProcess(EngineConfig(model_path=model), FAKE))
    with pytest.raises(EngineError, match=words):
        await client.wait_loaded()
    await client.close()
    assert not client._link.process.folder.exists()


async def test_closing_leaves_no_process_and_no_folder(client: AsyncEngineClient) -> None:
    task = asyncio.create_task(collect(client, add("a", [1], max_tokens=4000)))
    await asyncio.sleep(0)
    await client.close()
    await task
    assert client._link.process.popen.poll() is not None
    assert not client._link.process.folder.exists()


def test_the_engine_ends_when_its_front_is_killed() -> None:
    code = (
        "import os, sys, signal\n"
        "from portico.engine.link import EngineProcess\n"
        "from portico.config.engine import EngineConfig\n"
        f"process = EngineProcess(EngineConfig(model_path='fake'), {FAKE!r})\n"
        "print(process.popen.pid, flush=True)\n"
        "sys.stdin.readline()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    front = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert front.stdout is not None
    pid = int(front.stdout.readline())
    front.communicate("\n", timeout=30)
    deadline = time.monotonic() + 30
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead but not yet reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
