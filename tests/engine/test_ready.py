"""A request that is not ready holds up nobody, and can be cancelled."""

from __future__ import annotations

from portico.engine.engine import Engine
from portico.engine.scheduler import Limits
from portico.protocol.messages import Add, Cancel
from portico.protocol.sampling import TokenParams
from tests.engine.fake_runner import MemoryRunner

SLOW = TokenParams(max_tokens=3, seed=1, temperature=0.5)


def engine(unready: set[float]) -> Engine:
    limits = Limits(64, 8, 16, 5)
    return Engine(
        MemoryRunner(32, 4), limits, num_blocks=32, block_size=4, ready=lambda p: p.temperature not in unready
    )


def test_others_run_while_one_is_not_ready() -> None:
    unready = {0.5}
    made = engine(unready)
    made.add(Add("slow", [1, 2], SLOW, n=2))
    assert made.awaits
    assert not made.has_work
    made.add(Add("quick", [1, 2], TokenParams(max_tokens=3, seed=1)))
    told = [event.request_id for _ in range(5) for event in made.step().events]
    assert set(told) == {"quick"}
    unready.clear()
    told = []
    made.admit()
    while made.has_work:
        told += [(event.request_id, event.choice) for event in made.step().events if event.finish]
    assert sorted(told) == [("slow", 0), ("slow", 1)]
    made.check()


def test_what_is_not_ready_can_be_cancelled() -> None:
    unready = {0.5}
    made = engine(unready)
    made.add(Add("slow", [1, 2], SLOW, n=2))
    made.cancel(Cancel("slow", 0))
    made.cancel(Cancel("slow", 1))
    made.add(Add("slow", [1, 2], SLOW, n=2))  # the id is free again
    made.cancel(Cancel("slow", 0))
    unready.clear()
    told = []
    made.admit()
    while made.has_work:
        told += [(event.request_id, event.choice) for event in made.step().events if event.finish]
    assert told == [("slow", 1)]
    assert not made.awaits
    made.check()
