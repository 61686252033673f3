from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.errors import RequestError
from portico.protocol.limits import LIMITS
from portico.text.stops import StopFinder

letters = st.text("ab", max_size=30)
stops = st.lists(st.text("ab", min_size=1, max_size=5), max_size=4)


def split(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(places)]


def run(pieces: list[str], wanted: list[str]) -> tuple[str, bool]:
    finder = StopFinder(wanted)
    shown = "".join(finder.push(piece) for piece in pieces)
    return (shown if finder.hit else shown + finder.flush()), finder.hit


def reference(text: str, wanted: list[str]) -> tuple[str, bool]:
    """Cut where the stop string begins that is complete first; of two complete together, the longer one."""
    found = [(start + len(stop), start) for stop in wanted if (start := text.find(stop)) >= 0]
    return (text[: min(found)[1]], True) if found else (text, False)


@settings(max_examples=500, deadline=None)
@given(letters, stops, st.lists(st.integers(0, 40), max_size=8))
def test_any_text_in_any_pieces_is_cut_as_by_find(text: str, wanted: list[str], cuts: list[int]) -> None:
    assert run(split(text, cuts), wanted) == reference(text, wanted)


@settings(max_examples=300, deadline=None)
@given(letters, stops, st.lists(st.integers(0, 40), max_size=8))
def test_no_more_is_held_back_than_may_become_a_stop_string(text: str, wanted: list[str], cuts: list[int]) -> None:
    finder = StopFinder(wanted)
    shown = ""
    for piece in split(text, cuts):
        shown += finder.push(piece)
        if finder.hit:
            break
    if not finder.hit:
        held = text[len(shown) :]
        assert text == shown + held
        assert held == "" or any(stop.startswith(held) for stop in wanted)


def test_text_after_a_hit_is_dropped() -> None:
    finder = StopFinder(["END"])
    assert finder.push("one EN") == "one "
    assert finder.push("D two") == ""
    assert finder.hit
    assert finder.push("three") == ""
    assert finder.flush() == ""


def test_a_stop_string_that_does_not_come_is_flushed() -> None:
    finder = StopFinder(["END"])
    assert finder.push("the EN") == "the "
    assert finder.flush() == "EN"


def test_an_endless_stop_string_is_refused() -> None:
    with pytest.raises(RequestError) as caught:
        StopFinder(["x" * (LIMITS.stop_characters + 1)])
    assert caught.value.param == "stop"
