"""A stream says that it goes on where nothing comes for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from portico.server.doors.responses import run
from portico.server.sse import with_beats
from portico.text.model import TextModel
from tests.server.doors.responses.conftest import stream
from tests.server.fake_engine import Gate, say
from tests.server.harness import portico
from tests.server.thinker import as_new


async def test_beats_come_between_events_and_only_there() -> None:
    go_on, closed = asyncio.Event(), []

    async def events() -> AsyncGenerator[str, None]:
        try:
            yield "a"
            await go_on.wait()
            yield "b"
            yield "c"
        finally:
            closed.append(True)

    got: list[str | None] = []
    async for event in with_beats(events(), 0.01):
        got.append(event)
        if got.count(None) == 2:
            go_on.set()
    assert [event for event in got if event] == ["a", "b", "c"]
    assert got[1:3] == [None, None]
    assert closed == [True]


async def test_closing_closes_what_waits() -> None:
    closed = []

    async def events() -> AsyncGenerator[str, None]:
        try:
            await asyncio.Event().wait()
            yield "never"
        finally:
            closed.append(True)

    beats = with_beats(events(), 0.01)
    assert await anext(beats) is None
    await beats.aclose()
    assert closed == [True]


async def test_an_error_comes_through() -> None:
    async def events() -> AsyncGenerator[str, None]:
        yield "a"
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        [event async for event in with_beats(events(), 10)]


def test_a_long_prompt_has_events_meanwhile(thinker: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "BEAT_SECONDS", 0.01)
    with portico(thinker) as server:
        as_new(server)
        gate = Gate()
        ids = server.text.tokenizer.encode("Hi", add_special_tokens=False)
        server.engine.script = lambda add: [gate, *say([*ids, 2])(add)]
        told = []
        with server.openai().responses.create(model="org/tiny", input="hi", stream=True) as events:
            for event in events:
                told.append(event.type.removeprefix("response."))
                if told.count("in_progress") == 4:
                    gate.open()
        assert told[:5] == ["created", *["in_progress"] * 4]
        assert told[-1] == "completed"
        assert stream(server, {})[-1]["type"] == "response.completed"
