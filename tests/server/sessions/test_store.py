"""What every store must do, on each that the machine has."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from portico.errors import ConfigError
from portico.server.sessions.history import Key
from portico.server.sessions.store import SessionLimits, SessionStore, open_store
from tests.server.sessions.databases import postgresql_server, program, redis_server

NOW = 1_000_000.0
LIMITS = SessionLimits(count=3, idle_seconds=100.0)


def needs(name: str, url: str) -> object:
    return pytest.param(url, marks=pytest.mark.skipif(program(name) is None, reason=f"there is no {name} here"))


STORES = ["memory", "sqlite", "redis", needs("initdb", "postgresql")]


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        known = {"memory": "memory:", "sqlite": f"sqlite:///{tmp_path_factory.mktemp('store')}/in/folders/s.sqlite3"}
        known["redis"] = stack.enter_context(redis_server())
        if program("initdb"):
            known["postgresql"] = stack.enter_context(postgresql_server())
        yield known


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, urls: dict[str, str]) -> str:
    return urls[request.param]


@pytest.fixture
async def store(url: str) -> AsyncIterator[SessionStore]:
    opened = await open_store(url, LIMITS)
    yield opened
    await opened.close()


def key(request: pytest.FixtureRequest, session: str = "1", owner: str = "a") -> Key:
    """Tests share databases, not owners."""
    return Key(f"{request.node.name}/{owner}", session)


async def test_what_was_saved_last_is_loaded(store: SessionStore, request: pytest.FixtureRequest) -> None:
    one = key(request)
    assert await store.load(one, NOW) is None
    await store.save(one, b"\0first\xff", NOW)
    assert await store.load(one, NOW) == b"\0first\xff"
    await store.save(one, b"second", NOW + 1)
    assert await store.load(one, NOW + 1) == b"second"
    await store.delete(one)
    assert await store.load(one, NOW + 1) is None
    await store.delete(one)


async def test_the_same_id_of_another_owner_is_another(store: SessionStore, request: pytest.FixtureRequest) -> None:
    await store.save(key(request, owner="a"), b"a's", NOW)
    await store.save(key(request, owner="b"), b"b's", NOW)
    await store.delete(key(request, owner="a"))
    assert await store.load(key(request, owner="a"), NOW) is None
    assert await store.load(key(request, owner="b"), NOW) == b"b's"


async def test_ids_are_only_text(store: SessionStore, request: pytest.FixtureRequest) -> None:
    odd = ["a:b", "a", "'; DROP TABLE portico_sessions; --"]
    for session in odd:
        await store.save(key(request, session), session.encode(), NOW)
    assert [await store.load(key(request, session), NOW) for session in odd] == [text.encode() for text in odd]


async def test_the_one_used_longest_ago_makes_room(store: SessionStore, request: pytest.FixtureRequest) -> None:
    await store.save(key(request, owner="other"), b"kept", NOW)
    for number in range(3):
        await store.save(key(request, str(number)), b"x", NOW + number)
    await store.save(key(request, "0"), b"x", NOW + 3)
    await store.save(key(request, "3"), b"x", NOW + 4)
    left = [number for number in range(4) if await store.load(key(request, str(number)), NOW + 4)]
    assert left == [0, 2, 3]
    assert await store.load(key(request, owner="other"), NOW + 4) == b"kept"


async def test_two_that_share_a_store_see_the_same(url: str, request: pytest.FixtureRequest) -> None:
    if url == "memory:":
        pytest.skip("the memory is not shared")
    first, second = await asyncio.gather(open_store(url, LIMITS), open_store(url, LIMITS))
    await first.save(key(request), b"told", NOW)
    assert await second.load(key(request), NOW) == b"told"
    await first.close()
    await second.close()
    third = await open_store(url, LIMITS)
    assert await third.load(key(request), NOW) == b"told"
    await third.close()


async def test_what_is_idle_is_forgotten(store: SessionStore, url: str, request: pytest.FixtureRequest) -> None:
    if "redis" in url:
        pytest.skip("Redis has a clock of its own")
    await store.save(key(request), b"x", NOW)
    assert await store.load(key(request), NOW + 100) == b"x"
    assert await store.load(key(request), NOW + 101) is None


async def test_redis_is_told_when_to_forget(urls: dict[str, str], request: pytest.FixtureRequest) -> None:
    import redis

    brief = await open_store(urls["redis"], SessionLimits(idle_seconds=50.0))
    never = await open_store(urls["redis"], SessionLimits(idle_seconds=0.0))
    await brief.save(key(request, "brief"), b"x", NOW)
    await never.save(key(request, "never"), b"x", NOW)
    with redis.Redis.from_url(urls["redis"]) as client:
        lives = {name: client.pttl(f"portico:session:{key(request).owner}:{name}") for name in ("brief", "never")}
    assert 0 < lives["brief"] <= 50_000
    assert lives["never"] == -1
    await brief.close()
    await never.close()


async def test_zero_means_never(tmp_path: Path) -> None:
    for url in ("memory:", f"sqlite:///{tmp_path}/s"):
        store = await open_store(url, SessionLimits(idle_seconds=0.0))
        await store.save(Key("o", "1"), b"x", 0.0)
        await store.save(Key("o", "2"), b"x", 1e9)
        assert await store.load(Key("o", "1"), 1e9) == b"x"
        await store.close()


async def test_what_is_forgotten_is_gone_from_the_file(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/s", LIMITS)
    await store.save(Key("o", "old"), b"secret", NOW)
    await store.save(Key("p", "new"), b"x", NOW + 1000)
    await store.close()
    with sqlite3.connect(tmp_path / "s") as file:
        assert file.execute("SELECT owner, id FROM portico_sessions").fetchall() == [("p", "new")]


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/a/b/s", LIMITS)
    await store.save(Key("o", "1"), b"x", NOW)
    assert (tmp_path / "a/b/s").stat().st_mode & 0o077 == 0
    assert (tmp_path / "a/b").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "a/b").iterdir())
    await store.close()


async def test_a_file_that_another_process_has_locked_holds_up_nobody_else(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/s", LIMITS)
    other = sqlite3.connect(tmp_path / "s", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    saving = asyncio.create_task(store.save(Key("o", "1"), b"x", NOW))
    turns = 0
    while turns < 100:
        await asyncio.sleep(0)
        turns += 1
    assert not saving.done()
    other.execute("COMMIT")
    await saving
    assert await store.load(Key("o", "1"), NOW) == b"x"
    other.close()
    await store.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sessions")]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite:/tmp/x", "sqlite:///PATH"),
        ("sqlite:///", "sqlite:///PATH"),
        ("mongodb://x", "it must be memory:, sqlite:///PATH, redis://HOST or postgresql://HOST/DATABASE"),
        ("sqlite:////proc/nowhere/s", "cannot be kept in /proc/nowhere/s"),
        ("redis://127.0.0.1:1", "cannot be kept in Redis"),
        ("postgresql://x@127.0.0.1:1/y", "cannot be kept in PostgreSQL"),
    ],
)
async def test_a_store_that_cannot_be_had_is_told_at_once(url: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        await open_store(url, LIMITS)
