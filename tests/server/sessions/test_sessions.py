from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.errors import EngineError
from portico.protocol.request import Known
from portico.server.disconnect import to_its_end
from portico.server.sessions.history import History, Key, owner_of, pack, unpack
from portico.server.sessions.memory import MemoryStore
from portico.server.sessions.sessions import Sessions
from portico.server.sessions.store import SessionLimits

KEY = Key("owner", "1")
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(MemoryStore(SessionLimits()))


async def test_one_holds_it_and_the_others_wait_in_turn(sessions: Sessions) -> None:
    told: list[str] = []

    async def hold(name: str) -> None:
        async with sessions.hold(KEY):
            told.append(f"{name} in")
            await asyncio.sleep(0)
            told.append(f"{name} out")

    await asyncio.gather(hold("a"), hold("b"), hold("c"))
    assert told == ["a in", "a out", "b in", "b out", "c in", "c out"]


async def test_who_stops_waiting_holds_up_nobody(sessions: Sessions) -> None:
    async with sessions.hold(KEY):
        waiting = asyncio.create_task(_held(sessions))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(5), sessions.hold(KEY):
        pass
    assert not sessions._places


async def _held(sessions: Sessions) -> None:
    async with sessions.hold(KEY):
        raise AssertionError("it was held already")


async def test_other_sessions_do_not_wait(sessions: Sessions) -> None:
    async with (
        asyncio.timeout(5),
        sessions.hold(KEY),
        sessions.hold(Key("other", "1")),
        sessions.hold(Key("owner", "2")),
    ):
        pass


async def test_only_what_runs_is_stopped(sessions: Sessions) -> None:
    stopped: list[str] = []

    async def stop() -> None:
        stopped.append("first")

    await sessions.stop(KEY)
    with sessions.running(KEY, stop):
        await sessions.stop(Key("other", "1"))
        assert not stopped
        await sessions.stop(KEY)
    await sessions.stop(KEY)
    assert stopped == ["first"]
    assert not sessions._places


async def test_a_store_that_fails_names_no_secret(sessions: Sessions) -> None:
    class Broken(MemoryStore):
        async def save(self, key: Key, data: bytes, now: float) -> None:
            raise OSError("password")

    broken = Sessions(Broken(SessionLimits()))
    with pytest.raises(EngineError) as raised:
        await broken.save(KEY, History())
    assert (raised.value.status, "password" in raised.value.message) == (503, False)


async def test_what_must_be_done_is_done_though_nobody_waits() -> None:
    done, gate = [], asyncio.Event()

    async def work() -> None:
        await gate.wait()
        done.append(True)

    task = asyncio.create_task(to_its_end(work()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done


@given(texts=st.lists(TEXT), known=TEXT, ids=st.lists(st.integers(0, 2**31 - 1)))
def test_a_history_comes_back_as_it_was(texts: list[str], known: str, ids: list[int]) -> None:
    history = History()
    for text in texts:
        history = history.after([{"role": "user", "content": text}], Known(known, ids), "v", 5)
    again = unpack(pack(history))
    assert again == history
    assert [message["content"] for message in again.messages] == texts
    told = again.known("v")
    assert (told is not None) == bool(texts and known)
    assert told is None or list(told.token_ids) == ids
    assert again.known("another vocabulary") is None


def test_owners_are_told_apart_and_tell_nothing() -> None:
    owners = {owner_of(digest, model) for digest in ("", "a", "b") for model in ("m", "n", "")}
    assert len(owners) == 9
    assert all(len(owner) == 32 for owner in owners)
