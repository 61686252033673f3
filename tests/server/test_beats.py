"""A stream says that it goes on where nothing comes for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from portico.server import sse
from portico.server.middleware import CONTEXT, RequestContext
from portico.server.sse import EventStream
from portico.text.model import TextModel
from tests.server.doors.responses.conftest import stream
from tests.server.fake_engine import Gate, say
from tests.server.harness import MODEL, portico
from tests.server.thinker import as_new

SCOPE = {"type": "http", CONTEXT: RequestContext(None)}


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "BEAT_SECONDS", 0.01)


async def sent(
    events: AsyncGenerator[bytes, None], on_send: Callable[[list[bytes]], None], gone: asyncio.Event | None = None
) -> list[bytes]:
    """What a stream of these events with beats sends; `on_send` sees it after each piece. It may be `gone`."""
    bodies: list[bytes] = []

    async def receive() -> dict[str, Any]:
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            bodies.append(message["body"])
            on_send(bodies)

    await EventStream(events, on_crash=lambda error: b"crashed", beat=lambda: b"beat")(SCOPE, receive, send)
    return bodies


async def test_beats_come_between_events_and_only_there() -> None:
    go_on, closed = asyncio.Event(), []

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            yield b"a"
            await go_on.wait()
            yield b"b"
            yield b"c"
        finally:
            closed.append(True)

    got = await sent(events(), lambda bodies: go_on.set() if bodies.count(b"beat") == 2 else None)
    assert [event for event in got if event != b"beat"] == [b"a", b"b", b"c", b""]
    assert got[1:3] == [b"beat", b"beat"]
    assert closed == [True]


async def test_a_client_that_goes_ends_what_waits() -> None:
    closed, gone = [], asyncio.Event()

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            await asyncio.Event().wait()
            yield b"never"
        finally:
            closed.append(True)

    tasks = asyncio.all_tasks()
    got = await sent(events(), lambda bodies: gone.set(), gone)
    assert set(got) == {b"beat"}
    assert closed == [True]
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == tasks


async def test_no_beat_comes_behind_a_fault() -> None:
    async def events() -> AsyncGenerator[bytes, None]:
        yield b"a"
        raise ValueError("no")

    assert await sent(events(), lambda bodies: None) == [b"a", b"crashed", b""]


def test_a_long_prompt_has_events_meanwhile(thinker: TextModel) -> None:
    with portico(thinker) as server:
        as_new(server)
        gate = Gate()
        ids = server.text.tokenizer.encode("Hi", add_special_tokens=False)
        server.engine.script = lambda add: [gate, *say([*ids, 2])(add)]
        told, numbers = [], []
        with server.openai().responses.create(model=MODEL, input="hi", stream=True) as events:
            for event in events:
                told.append(event.type.removeprefix("response."))
                numbers.append(event.sequence_number)
                if told.count("in_progress") == 4:
                    gate.open()
        assert told[:5] == ["created", *["in_progress"] * 4]
        assert told[-1] == "completed"
        assert numbers == list(range(len(told)))
        assert stream(server, {})[-1]["type"] == "response.completed"
