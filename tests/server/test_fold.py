from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from portico.errors import EngineError
from portico.protocol.events import Failure, Finish, GenerationEvent, TextDelta, Usage
from portico.server.fold import Answer, fold


async def stream(*events: GenerationEvent) -> AsyncGenerator[GenerationEvent, None]:
    for event in events:
        yield event


async def test_an_answer_is_the_sum_of_its_events() -> None:
    events = stream(
        TextDelta(1, "two", 1), TextDelta(0, "o", 1), TextDelta(0, "ne", 2),
        Finish(1, "length"), Finish(0, "stop"), Usage(3, 4, 1),
    )  # fmt: skip
    assert await fold(events, 2) == Answer(["one", "two"], [[], []], {}, ["stop", "length"], Usage(3, 4, 1))


async def test_a_failure_is_raised() -> None:
    with pytest.raises(EngineError, match="gone"):
        await fold(stream(TextDelta(0, "x", 1), Failure(EngineError("gone"))), 1)
