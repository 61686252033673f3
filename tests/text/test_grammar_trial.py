"""Grammars whose compiling never ends, or takes all memory, end nothing but their own request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from llguidance import LLMatcher

from portico.errors import RequestError
from portico.text.grammar_trial import GrammarTrial

ENDLESS: dict[str, Any] = {"type": "integer", "allOf": [{"multipleOf": 10007}, {"multipleOf": 10009}]}


@pytest.fixture
def trial() -> Iterator[GrammarTrial]:
    made = GrammarTrial()
    yield made
    made.close()


def test_what_costs_too_much_is_refused_and_the_next_is_not(trial: GrammarTrial) -> None:
    for _ in range(2):  # the second time it is known
        with pytest.raises(RequestError, match="x cannot be honoured: compiling it takes more") as caught:
            trial.check(LLMatcher.grammar_from_json_schema(ENDLESS), "x")
        assert caught.value.param == "x"
    trial.check(LLMatcher.grammar_from_json_schema({"type": "integer", "multipleOf": 7}), "x")


def test_a_worker_that_was_killed_is_replaced(trial: GrammarTrial) -> None:
    trial.check(LLMatcher.grammar_from_regex("a+"), "x")
    trial.close()
    trial.check(LLMatcher.grammar_from_regex("b+"), "x")


def test_a_worker_that_ended_by_itself_says_nothing_of_the_next_grammar(trial: GrammarTrial) -> None:
    trial.check(LLMatcher.grammar_from_regex("a+"), "x")
    for count in (1, 9000):  # less and more than a pipe holds
        assert trial._worker is not None
        trial._worker.kill()
        trial._worker.wait()
        trial.check(LLMatcher.grammar_from_lark('start: "' + "a" * count + '"'), "x")


def test_any_text_passes_through(trial: GrammarTrial) -> None:
    """Whether a grammar is right is not its question."""
    for text in ("", "{", "start: \x00\n", "start: \ud800", "é\u2028\n\r"):
        trial.check(text, "x")
