"""What is kept of requests' events."""

from __future__ import annotations

import json
import time

import msgspec
import pytest

from portico.text import trace
from portico.text.trace import Trace
from tests.text.trace_format import check_trace


def rows(kept: Trace) -> dict[str, list[str]]:
    return check_trace(json.loads(msgspec.json.encode(kept.events())))


def test_what_does_not_fit_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    for most in range(2, 9):
        monkeypatch.setattr(trace, "MOST_EVENTS", most)
        kept = Trace(1)
        with kept.span("a", "outer"):
            for _ in range(3):
                with kept.span("a", "inner"):
                    kept.mark("a", "x")
        assert len(rows(kept)["a"]) <= most


def test_a_clock_that_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Trace(1)
    for seconds in (2 * 10**9, 10**9):
        monkeypatch.setattr(time, "time_ns", lambda seconds=seconds: seconds * 10**9)
        with kept.span("a", "step"):
            kept.mark("a", "x")
    assert len(rows(kept)["a"]) == 6


def test_events_are_numbered_by_request() -> None:
    kept = Trace(2, clock_ns=iter(range(0, 10**6, 1500)).__next__)
    kept._epoch = 0
    kept.mark("a", "begin")
    for name in ("a", "b", "a"):
        with kept.span(name, "step"):
            pass
    told = [(event.tid, event.ph, event.name) for event in kept.events()]
    assert told == [
        ("a", "i", "begin (0)"),
        ("a", "B", "step (0)"),
        ("a", "E", "step (0)"),
        ("a", "B", "step (1)"),
        ("a", "E", "step (1)"),
        ("b", "B", "step (0)"),
        ("b", "E", "step (0)"),
    ]
    assert [event.ts for event in kept.events()][:3] == [0, 1, 3]
    assert list(rows(kept)) == ["a", "b"]


def test_the_oldest_requests_are_forgotten() -> None:
    kept = Trace(2)
    for request in "abc":
        for _ in range(trace.MOST_EVENTS + 5):
            kept.mark(request, "x")
    assert list(rows(kept)) == ["b", "c"]
    assert len(kept.events()) == 2 * trace.MOST_EVENTS
    kept.clear()
    assert kept.events() == []


def test_nothing_is_kept_unless_asked_for() -> None:
    kept = Trace()
    kept.mark("a", "x")
    assert not kept.on
    assert kept.events() == []
