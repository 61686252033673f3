"""Times and tokens of a request, with a clock that the test moves."""

from __future__ import annotations

import math

import pytest

from portico.protocol.messages import Add, TokenEvent
from portico.protocol.sampling import TokenParams
from portico.server.metrics.figures import Figures, Timeline, speed

ADD = Add("r", [1] * 10, TokenParams(max_tokens=9, seed=0), n=2)


def ended() -> Timeline:
    """Two choices of three tokens each, the prompt's last four tokens computed in two seconds."""
    timeline = Timeline.begin(ADD, 100.0)
    timeline.take([TokenEvent("r", 0, [5], cached_tokens=6), TokenEvent("r", 1, [5])], 102.0)
    timeline.take([TokenEvent("r", 0, [5, 6], "length")], 103.0)
    timeline.take([TokenEvent("r", 1, [5, 6], "stop")], 106.0)
    timeline.end(106.5)
    return timeline


def test_a_request() -> None:
    timeline = ended()
    assert (timeline.prefill_tokens, timeline.prefill_seconds) == (4, 2.0)
    assert (timeline.tokens, timeline.decode_tokens, timeline.decode_seconds) == (6, 4, 4.0)
    assert (timeline.seconds, timeline.outcome) == (6.5, "stop")


def test_sums() -> None:
    figures = Figures()
    assert math.isnan(speed(figures.decode_tokens, figures.decode_seconds))
    for _ in range(2):
        figures.add(ended())
    assert (figures.prompt_tokens, figures.prefill_tokens, figures.completion_tokens) == (20, 8, 12)
    assert speed(figures.prefill_tokens, figures.prefill_seconds) == 2.0
    assert speed(figures.decode_tokens, figures.decode_seconds) == 1.0
    unanswered = Timeline.begin(ADD, 0.0)
    unanswered.end(9.0)
    figures.add(unanswered)
    assert figures.prompt_tokens == 20


@pytest.mark.parametrize(
    ("finish", "dropped", "outcome"),
    [("length", None, "length"), (None, None, "abort"), (None, 0, "stop"), ("error", None, "error")],
)
def test_how_it_ended(finish: str | None, dropped: int | None, outcome: str) -> None:
    timeline = Timeline.begin(Add("r", [1], TokenParams(max_tokens=9, seed=0)), 0.0)
    timeline.take([TokenEvent("r", 0, [5], finish)], 1.0)  # type: ignore[arg-type]
    if dropped is not None:
        timeline.drop(dropped)
    timeline.end(2.0)
    assert timeline.outcome == outcome
