"""What may not be drawn, and what is pushed up or down, on given logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from portico.decode.adjust import adjust, check_left, needs_adjusting
from portico.errors import EngineError
from portico.protocol.sampling import ThinkingLimit, TokenParams

VOCAB = 12
LOGITS = torch.arange(VOCAB, dtype=torch.float32) / 4


def adjusted(output: Sequence[int] = (), **fields: Any) -> torch.Tensor:
    params = TokenParams(max_tokens=9, seed=0, **fields)
    logits = LOGITS.clone()
    assert needs_adjusting(params, len(output)) or not fields
    adjust(logits, params, list(output))
    return logits


def left(logits: torch.Tensor) -> set[int]:
    return set(torch.nonzero(logits > -torch.inf).flatten().tolist())


def test_only_allowed_tokens_are_left_and_keep_their_logits() -> None:
    logits = adjusted(allowed_token_ids=(3, 7))
    assert left(logits) == {3, 7}
    assert torch.equal(logits[[3, 7]], LOGITS[[3, 7]])


@pytest.mark.parametrize(
    ("output", "banned"),
    [((), {8}), ((5,), {8, 6}), ((5, 6), {8, 7}), ((6, 5), {8, 6}), ((4, 5, 6, 7), {8}), ((6,), {8})],
)
def test_a_bad_word_is_never_completed(output: tuple[int, ...], banned: set[int]) -> None:
    assert left(adjusted(output, bad_words=((8,), (5, 6, 7), (5, 6)))) == set(range(VOCAB)) - banned


def test_nothing_that_ends_is_left_before_min_tokens() -> None:
    fields = {"min_tokens": 2, "stop_token_ids": (0, 4)}
    assert left(adjusted((1,), **fields)) == set(range(VOCAB)) - {0, 4}
    params = TokenParams(max_tokens=9, seed=0, **fields)
    assert not needs_adjusting(params, 2)


@pytest.mark.parametrize(
    ("begin", "end", "output", "forced"),
    [
        ((), (9,), (1, 2), None),
        ((), (9,), (1, 2, 3), 9),
        ((), (9,), (1, 9, 3), None),
        ((), (9,), (1, 2, 3, 9), None),
        ((), (9, 8), (1, 2, 3), 9),
        ((), (9, 8), (1, 2, 3, 9), 8),
        ((), (9, 8), (1, 9, 3), 9),
        ((), (9, 8), (9, 8, 3), None),
        ((4,), (9,), (4, 1, 2, 3), 9),
        ((4,), (9,), (1, 4, 2, 3), 9),
        ((4,), (9,), (1, 2, 3, 5), None),
        ((4, 5), (9,), (4, 5, 1, 2, 3), 9),
    ],
)
def test_thinking_ends_where_its_budget_does(
    begin: tuple[int, ...], end: tuple[int, ...], output: tuple[int, ...], forced: int | None
) -> None:
    params = TokenParams(max_tokens=9, seed=0, thinking=ThinkingLimit(3, begin, end))
    assert forced is None or needs_adjusting(params, len(output))
    logits = LOGITS.clone()
    adjust(logits, params, output)
    assert left(logits) == (set(range(VOCAB)) if forced is None else {forced})


def test_a_bias_is_added() -> None:
    logits = adjusted(logit_bias=((2, 5.0), (3, -100.0)))
    assert logits[2] == LOGITS[2] + 5
    assert logits[3] == LOGITS[3] - 100
    assert torch.equal(logits[4:], LOGITS[4:])


def test_that_nothing_is_left_is_said() -> None:
    with pytest.raises(EngineError, match="output position 0"):
        check_left(float(adjusted(allowed_token_ids=(4,), bad_words=((4,),)).max()), 0)
    check_left(float(adjusted(allowed_token_ids=(4,)).max()), 0)


@given(
    allowed=st.sets(st.integers(0, VOCAB - 1), max_size=5),
    words=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), max_size=6),
    output=st.lists(st.integers(0, 3), max_size=5),
)
def test_what_is_left_is_what_the_words_say(allowed: set[int], words: list[list[int]], output: list[int]) -> None:
    expected = (allowed or set(range(VOCAB))) - {
        word[-1] for word in words if [*output, word[-1]][-len(word) :] == word and len(word) <= len(output) + 1
    }
    fields = {"allowed_token_ids": tuple(allowed), "bad_words": tuple(map(tuple, words))}
    if expected:
        logits = LOGITS.clone()
        adjust(logits, TokenParams(max_tokens=9, seed=0, **fields), output)
        assert left(logits) == expected
