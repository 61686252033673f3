"""What is kept of requests' events."""

from __future__ import annotations

from portico.text import trace
from portico.text.trace import Trace


def test_events_are_numbered_by_request() -> None:
    kept = Trace(2, clock_ns=iter(range(0, 10**6, 1500)).__next__)
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


def test_the_oldest_requests_are_forgotten() -> None:
    kept = Trace(2)
    for request in "abc":
        for _ in range(trace.MOST_EVENTS + 5):
            kept.mark(request, "x")
    assert list(dict.fromkeys(event.tid for event in kept.events())) == ["b", "c"]
    assert len(kept.events()) == 2 * trace.MOST_EVENTS
    kept.clear()
    assert kept.events() == []


def test_nothing_is_kept_unless_asked_for() -> None:
    kept = Trace()
    kept.mark("a", "x")
    assert not kept.on
    assert kept.events() == []
