from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from portico.errors import EngineError
from portico.protocol.events import Failure, Finish, GenerationEvent, TextDelta, TokenInfo, TokenText, Usage
from portico.server.fold import Answer, fold, keep_best
from portico.text.whole import WholeChoice


async def stream(*events: GenerationEvent) -> AsyncGenerator[GenerationEvent, None]:
    for event in events:
        yield event


async def test_an_answer_is_the_sum_of_its_events() -> None:
    events = stream(
        TextDelta(1, "two", 1), TextDelta(0, "o", 1), TextDelta(0, "ne", 2),
        Finish(1, "length"), Finish(0, "stop"), Usage(3, 4, 1),
    )  # fmt: skip
    assert await fold(events, 2) == Answer(
        [WholeChoice("one", reason="stop"), WholeChoice("two", reason="length")], {}, Usage(3, 4, 1)
    )


async def test_a_failure_is_raised() -> None:
    with pytest.raises(EngineError, match="gone"):
        await fold(stream(TextDelta(0, "x", 1), Failure(EngineError("gone"))), 1)


def token(logprob: float, prompt: bool = False) -> TokenInfo:
    return TokenInfo(TokenText(5, b"x", logprob), [], 1, prompt=prompt)


def test_the_best_are_the_likeliest_by_token_of_each_prompt() -> None:
    tokens = [
        [token(-1.0), token(-1.0)],
        [token(-0.5)],
        [token(-9.0, prompt=True), token(-0.1), token(-0.7)],
        [token(-3.0)],
        [token(-2.0)],
        [token(-2.0), token(-2.0)],
    ]
    choices = [WholeChoice(text, tokens=infos) for text, infos in zip("abcdef", tokens, strict=True)]
    answer = Answer(choices, {0: tokens[2][:1], 3: []}, Usage(1, 2, 0))
    best = keep_best(answer, 3, 2)
    assert [choice.text for choice in best.choices] == ["c", "b", "e", "f"]
    assert [choice.tokens for choice in best.choices] == [tokens[2], tokens[1], tokens[4], tokens[5]]
    assert best.prompts == {0: tokens[2][:1], 2: []}
    assert best.usage == answer.usage
