"""The size of chunks beside streams, on a clock that goes as the model of a machine says."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.engine.engine import Engine
from portico.engine.pace import LEAST_CHUNK, Pace
from portico.engine.plan import RowResult, StepPlan
from portico.engine.scheduler import Limits
from portico.protocol.messages import Add
from portico.protocol.sampling import TokenParams
from tests.engine.fake_runner import VOCABULARY, MemoryRunner, expected_output


@dataclass
class Machine:
    """A runner whose steps take a time by their tokens."""

    runner: MemoryRunner
    step: float
    token: float
    now: float = 0.0
    took: list[tuple[int, float]] = field(default_factory=list)
    """Of each step the prompts' tokens, and its time."""

    def run(self, plan: StepPlan) -> Sequence[RowResult]:
        tokens = sum(len(row.token_ids) for row in plan.rows if len(row.token_ids) > 1)
        seconds = self.step + self.token * tokens
        self.took.append((tokens, seconds))
        self.now += seconds
        return self.runner.run(plan)

    def clock(self) -> float:
        return self.now


def engine_on(machine: Machine, slowdown: float) -> Engine:
    limits = Limits(4096, 16, 1024, 256, prefill_slowdown=slowdown)
    return Engine(machine, limits, num_blocks=2000, block_size=4, clock=machine.clock)


@pytest.mark.parametrize("token", [0.0005, 0.002, 0.01])
def test_streams_keep_their_pace_while_long_prompts_come(token: float) -> None:
    """The rate that is promised: 99 of 100 steps within three times the usual one; and the prompts end."""
    machine = Machine(MemoryRunner(2000, 4), step=0.02, token=token)
    engine = engine_on(machine, 2.5)
    for number in range(8):
        engine.add(Add(f"s{number}", [number, 1], TokenParams(max_tokens=1500, seed=1)))
    for _ in range(10):
        engine.step()
    usual = machine.took[-1][1]
    machine.took.clear()
    ended = set()
    for number in range(3):
        engine.add(
            Add(f"p{number}", [(number + i) % VOCABULARY for i in range(1000)], TokenParams(max_tokens=1, seed=1))
        )
    while len(ended) < 3:
        ended |= {e.request_id for e in engine.step().events if e.finish is not None and e.request_id[0] == "p"}
    times = sorted(seconds for _, seconds in machine.took)
    allowed = 3 * usual if token * LEAST_CHUNK < 2 * usual else usual + token * LEAST_CHUNK
    assert times[len(times) * 99 // 100] <= allowed
    mixed = [seconds for tokens, seconds in machine.took if tokens]
    if token * LEAST_CHUNK < usual < token * 256 / 2:
        assert statistics.median(mixed) >= 1.5 * usual  # no more timid than need be


def test_a_step_that_was_held_up_is_soon_forgotten() -> None:
    pace = Pace(256, 2.5)
    for _ in range(4):
        pace.note(8, 0, 0.01)
    before = pace.chunk(8)
    pace.note(8, before, 5.0)
    shrunk = pace.chunk(8)
    for _ in range(30):
        pace.note(8, pace.chunk(8), 0.01 + 0.00001 * pace.chunk(8))
    assert shrunk < before
    assert pace.chunk(8) == 256


def test_what_is_usual_is_measured_before_it_is_believed_and_again_later() -> None:
    pace = Pace(256, 2.5)
    assert pace.chunk(3) == 0
    pace.note(3, 0, 0.5)
    assert pace.chunk(3) == 0
    pace.note(3, 0, 0.01)
    assert pace.chunk(3) > 0
    looks = 0
    for _ in range(600):
        tokens = pace.chunk(3)
        looks += not tokens
        pace.note(3, tokens, 0.02 if tokens else 0.01)
    assert looks == 2


def test_without_a_slowdown_the_chunk_is_what_it_is() -> None:
    pace = Pace(256, 0.0)
    pace.note(3, 256, 9.0)
    assert pace.chunk(3) == 256


@settings(max_examples=30, deadline=None)
@given(
    steps=st.lists(st.floats(0.0, 1.0), min_size=200, max_size=400), prompts=st.lists(st.integers(2, 60), max_size=8)
)
def test_times_of_any_kind_change_no_token_and_starve_nobody(steps: list[float], prompts: list[int]) -> None:
    machine = Machine(MemoryRunner(2000, 4), step=0.0, token=0.0)
    times = iter(steps * 50)
    engine = Engine(
        machine, Limits(256, 4, 64, 32, prefill_slowdown=2.5), num_blocks=200, block_size=4, clock=lambda: next(times)
    )
    adds = [
        Add(f"r{number}", [(number + i) % VOCABULARY for i in range(length)], TokenParams(max_tokens=20, seed=number))
        for number, length in enumerate([3, 3, *prompts])
    ]
    said: dict[str, list[int]] = {}
    for add in adds:
        engine.add(add)
    while engine.has_work:
        for event in engine.step().events:
            said.setdefault(event.request_id, []).extend(event.token_ids)
        engine.check()
    for add in adds:
        assert said[add.request_id] == expected_output(add.prompt_ids, add.params, 0, 256)[0]
