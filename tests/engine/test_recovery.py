"""Engines that are lost: every request but the culprit goes on in the next one with the tokens it would have had."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portico.config.engine import EngineConfig
from portico.engine import client as client_module
from portico.engine.client import AsyncEngineClient
from portico.engine.link import EngineProcess
from portico.engine.streams import Streams
from portico.errors import EngineError
from portico.protocol.messages import Add, TokenEvent
from portico.protocol.sampling import Beams, Grammar, TokenParams
from tests.engine.fake_process import CONTEXT, DEADLY, ENDLESS, KILLING
from tests.engine.fake_runner import expected_output

FAKE = "tests.engine.fake_process"


@asynccontextmanager
async def running(model: str = "fake", step_timeout: float = 0.0) -> AsyncIterator[AsyncEngineClient]:
    client = AsyncEngineClient(EngineProcess(EngineConfig(model_path=model), FAKE), step_timeout=step_timeout)
    await client.wait_loaded()
    try:
        yield client
    finally:
        await client.close()


def add(name: str, prompt: list[int], max_tokens: int = 200, n: int = 1) -> Add:
    return Add(name, prompt, TokenParams(max_tokens=max_tokens, seed=len(prompt)), n)


class Reader:
    """Reads one request to its end."""

    def __init__(self, client: AsyncEngineClient, request: Add) -> None:
        self.request = request
        self.tokens: dict[int, list[int]] = {choice: [] for choice in range(request.n)}
        self.errors: list[str] = []
        self.began = asyncio.Event()
        self.done = asyncio.create_task(self._read(client))

    async def _read(self, client: AsyncEngineClient) -> None:
        async for events in client.submit(self.request):
            for event in events:
                self.tokens[event.choice] += event.token_ids
                if event.error is not None:
                    self.errors.append(event.error)
            self.began.set()

    @property
    def count(self) -> int:
        return sum(map(len, self.tokens.values()))

    def assert_exact(self) -> None:
        assert not self.errors
        for choice, tokens in self.tokens.items():
            request = self.request
            assert tokens == expected_output(request.prompt_ids, request.params, choice, CONTEXT)[0]


def kill(client: AsyncEngineClient) -> None:
    os.kill(client._link.process.popen.pid, signal.SIGKILL)


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.002)


async def test_streams_go_on_through_many_kills() -> None:
    async with running() as client:
        readers = [Reader(client, add(f"r{i}", [i % 50, 2, 3, *range(i)], 150 + 10 * i, 1 + i % 3)) for i in range(16)]
        for kills in range(1, 6):
            before = sum(reader.count for reader in readers)
            await until(lambda least=before + 137 * kills: sum(reader.count for reader in readers) >= least)
            kill(client)
            await until(lambda kills=kills: client.restarts == kills)
            assert "signal 9" in (client.failure() or "signal 9 (and the next one is there already)")
        late = Reader(client, add("late", [5, 5, 5], 20))
        await asyncio.gather(late.done, *(reader.done for reader in readers))
        assert client.failure() is None
        for reader in [late, *readers]:
            reader.assert_exact()
        await until(lambda: client.stats is not None and client.stats.blocks_used == 0)


async def test_requests_wait_for_the_next_engine() -> None:
    async with running() as client:
        kill(client)
        await until(lambda: client.failure() is not None)
        reader = Reader(client, add("new", [1, 2, 3], 30))
        await reader.done
        reader.assert_exact()


async def test_grammars_and_searches_are_the_same_afterwards() -> None:
    grammar = TokenParams(max_tokens=300, seed=1, grammar=Grammar("any", ()))
    search = TokenParams(max_tokens=120, seed=1, beams=Beams(3, 1.0, False))
    requests = [Add("grammar", [1, 2], grammar), Add("search", [3, 4], search)]
    async with running() as client:
        undisturbed = [Reader(client, request) for request in requests]
        await asyncio.gather(*(reader.done for reader in undisturbed))
        readers = [Reader(client, request) for request in requests]
        await readers[0].began.wait()
        kill(client)
        await asyncio.gather(*(reader.done for reader in readers))
        assert client.restarts == 1
    for reader, before in zip(readers, undisturbed, strict=True):
        assert not reader.errors
        assert reader.tokens == before.tokens
        assert reader.count > 20


@pytest.mark.parametrize(
    ("token", "step_timeout", "out_of_memory", "words", "times"),
    [
        (DEADLY, 0.0, False, "signal 11", 2),
        (ENDLESS, 0.75, False, "took longer", 2),
        (KILLING, 0.0, True, "memory ran out", 2),
        (KILLING, 0.0, False, "signal 9", 4),  # which may well have come from outside
    ],
)
async def test_the_culprit_alone_is_given_up(
    token: int, step_timeout: float, out_of_memory: bool, words: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EngineProcess, "out_of_memory", lambda self: out_of_memory)
    async with running(step_timeout=step_timeout) as client:
        readers = [Reader(client, add(f"r{i}", [i, 2, 3], 400)) for i in range(6)]
        await asyncio.gather(*(reader.began.wait() for reader in readers))
        culprit = Reader(client, add("culprit", [7, token], 10))
        later = Reader(client, add("later", [9, 9], 30))
        await asyncio.gather(culprit.done, later.done, *(reader.done for reader in readers))
        assert len(culprit.errors) == 1
        assert f"lost {times} times while this request ran" in culprit.errors[0]
        assert words in culprit.errors[0]
        for reader in [later, *readers]:
            reader.assert_exact()
        assert client.restarts == times
        assert client.failure() is None


async def test_an_engine_that_is_stopped_is_replaced_and_health_says_so_before() -> None:
    async with running(step_timeout=1.0) as client:
        readers = [Reader(client, add(f"r{i}", [i, 2, 3], 800)) for i in range(4)]
        await asyncio.gather(*(reader.began.wait() for reader in readers))
        os.kill(client._link.process.popen.pid, signal.SIGSTOP)
        await until(lambda: "has been running" in (client.failure() or ""))
        await until(lambda: "took longer than 1 seconds" in (client.failure() or ""))
        await asyncio.gather(*(reader.done for reader in readers))
        for reader in readers:
            reader.assert_exact()
        assert client.restarts == 1
        assert client.failure() is None


async def test_an_engine_that_is_idle_is_not_stuck() -> None:
    async with running(step_timeout=0.5) as client:
        os.kill(client._link.process.popen.pid, signal.SIGSTOP)
        await asyncio.sleep(4 * client_module.LOOK_SECONDS)
        assert client.failure() is None
        os.kill(client._link.process.popen.pid, signal.SIGCONT)


async def test_how_far_a_new_engine_is() -> None:
    client = AsyncEngineClient(EngineProcess(EngineConfig(model_path="held"), FAKE))
    try:
        await until(lambda: client.loading is not None and client.loading.progress == 0.5)
        assert client.loading is not None
        assert client.loading.stage == "half way"
        assert not client._link.process.folder.exists()  # who is connected needs no address
        client._link.process.popen.terminate()
        with pytest.raises(EngineError):
            await client.wait_loaded()
        assert client.loading is None
    finally:
        await client.close()


async def test_one_that_leaves_while_it_is_under_suspicion_holds_up_nobody() -> None:
    async with running() as client:
        readers = [Reader(client, add(f"r{i}", [i, 2, 3], 600)) for i in range(4)]
        await asyncio.gather(*(reader.began.wait() for reader in readers))
        kill(client)
        await until(lambda: client.failure() is not None)
        readers[0].done.cancel()
        await asyncio.gather(*(reader.done for reader in readers[1:]))
        for reader in readers[1:]:
            reader.assert_exact()


async def test_an_engine_that_does_not_come_back_ends_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "PAUSES", (0.0, 0.0))
    async with running(f"once:{tmp_path / 'loaded'}") as client:
        reader = Reader(client, add("a", [1, 2, 3], 4000))
        await reader.began.wait()
        kill(client)
        await reader.done
        assert reader.errors == ["the folder holds no model any more"]
        assert client.failure() == "the folder holds no model any more"
        with pytest.raises(EngineError) as caught:
            await Reader(client, add("b", [1])).done
        assert caught.value.status == 503


async def test_an_engine_that_sticks_while_it_loads_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "LOAD_SECONDS", 4.0)
    async with running(f"sticks:{tmp_path / 'starts'}") as client:
        reader = Reader(client, add("a", [1, 2, 3], 4000))
        await reader.began.wait()
        kill(client)
        await reader.done
        reader.assert_exact()
        assert client.restarts >= 2


async def test_an_engine_is_replaced_however_busy_the_threads_of_the_front_are() -> None:
    loop, done = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    async with running() as client:
        busy = loop.run_in_executor(None, done.wait)
        for kills in range(1, 4):
            kill(client)
            await until(lambda kills=kills: client.restarts == kills)
            reader = Reader(client, add(f"r{kills}", [1, 2, 3], 20))
            await reader.done
            reader.assert_exact()
        done.set()
        await busy


async def test_closing_while_there_is_no_engine_is_quiet(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    said: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda loop, context: said.append(context))
    client = AsyncEngineClient(EngineProcess(EngineConfig(model_path=f"once:{tmp_path / 'loaded'}"), FAKE))
    await client.wait_loaded()
    reader = Reader(client, add("a", [1, 2, 3], 4000))
    await reader.began.wait()
    kill(client)
    await until(lambda: client.restarts == 1)
    await until(lambda: client._link._socket.closed)  # the second one was lost too, and the third is waited for
    await client.close()
    await reader.done
    assert reader.errors == ["the server is shutting down"]
    await asyncio.sleep(0)
    gc.collect()
    assert said == []


async def test_a_request_that_no_message_can_hold_ends_alone_also_when_the_next_engine_would_get_it() -> None:
    async with running() as client:
        first = Reader(client, add("first", [1, 2], 400))
        await first.began.wait()
        huge = Add("huge", [3], TokenParams(max_tokens=5, seed=1, min_tokens=2**64))
        unsent = Reader(client, huge)
        await unsent.done
        assert "cannot be sent" in unsent.errors[0]
        kill(client)
        await until(lambda: client.failure() is not None)
        waiting = Reader(client, msgspec.structs.replace(huge, request_id="huge again"))
        await asyncio.gather(waiting.done, first.done)
        assert "cannot be sent" in waiting.errors[0]
        first.assert_exact()


def test_those_that_a_lost_engine_did_not_come_to_are_the_first_in_the_next() -> None:
    """Else engines that live for less than a round would never come to them."""
    sent: list[str] = []
    streams = Streams(lambda message: sent.append(message.request_id) if isinstance(message, Add) else None)
    for name in "abc":
        streams.open(add(name, [1]))
    streams.engine_ready()
    assert sent == ["a", "b", "c"]
    for turn in ("a", "b", "c", "a"):
        streams.engine_lost("killed", killed=True)
        sent.clear()
        streams.engine_ready()
        assert sent == [turn]
        streams.take([TokenEvent(turn, 0, [5])])
        assert len(sent) == 2  # it has gone on, so the next one is tried
