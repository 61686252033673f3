"""Who runs when: owners take turns, priorities hold within one, nothing of it changes what anybody is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from portico.engine.plan import StepPlan
from portico.engine.waiting import OUTPUT_COST
from portico.protocol.messages import Cancel
from portico.protocol.sampling import Beams
from tests.engine.fake_runner import Harness


def firsts(harness: Harness) -> list[str]:
    """The requests in the order of their first tokens."""
    order: list[str] = []
    while harness.engine.has_work:
        for event in harness.step().events:
            if event.request_id not in order:
                order.append(event.request_id)
    return order


def test_one_owner_is_served_in_order_of_arrival() -> None:
    harness = Harness(max_num_seqs=1)
    for number in range(6):
        harness.add(f"r{number}", [number, 1, 2], max_tokens=1 + number % 3)
    assert firsts(harness) == [f"r{number}" for number in range(6)]


def test_a_queue_of_one_owner_does_not_hold_up_another() -> None:
    harness = Harness(max_num_seqs=1)
    for number in range(30):
        harness.add(f"many{number}", [number, 1, 2], owner=1)
    harness.step()
    harness.add("single", [40, 1, 2], owner=2)
    assert firsts(harness).index("single") <= 2


def test_many_choices_of_one_owner_do_not_hold_up_another() -> None:
    harness = Harness(max_num_seqs=2, num_blocks=256)
    harness.add("choices", range(10), n=40, owner=1)
    harness.step()
    single = harness.add("single", [40, 1, 2], owner=2)
    for _ in range(12):
        harness.step()
    assert ("single", 0) in harness.tokens
    harness.run()
    harness.assert_exact(single)


def test_a_long_prompt_of_one_owner_does_not_hold_up_anothers_short_one() -> None:
    harness = Harness(num_blocks=128, max_model_len=400, max_num_batched_tokens=16)
    harness.add("long", [number % 40 for number in range(300)], owner=1)
    harness.step()
    harness.add("short", [41, 42, 43], owner=2)
    harness.step()
    assert ("short", 0) in harness.tokens
    harness.run()


def test_an_owner_gets_no_more_for_having_been_away() -> None:
    """Who comes late begins with the others: what it did not use before is not made up for."""
    harness = Harness(max_num_seqs=1)
    for number in range(20):
        harness.add(f"a{number}", [number, 1, 2], owner=1)
    for _ in range(60):
        harness.step()
    for number in range(20):
        harness.add(f"b{number}", [number, 3, 4], owner=2)
    told = len(harness.endings)
    while len(harness.endings) < told + 10:
        harness.step()
    later = list(harness.endings)[told:]
    assert 4 <= sum(request_id.startswith("b") for request_id, _ in later) <= 6


def test_a_lower_priority_number_runs_first_and_equal_ones_as_they_came() -> None:
    harness = Harness(max_num_seqs=1)
    harness.add("running", [1, 2, 3])
    harness.step()
    for name, priority in (("late", 5), ("a", 0), ("b", 0), ("soon", -5), ("c", 0)):
        harness.add(name, [7, 8, 9], priority=priority)
    assert firsts(harness)[-5:] == ["soon", "a", "b", "c", "late"]


def test_a_priority_counts_against_other_owners_only_with_the_right() -> None:
    for outranks, first in ((False, "a0"), (True, "b0")):
        harness = Harness(max_num_seqs=1)
        harness.add("running", [1, 2, 3], owner=3)
        harness.step()
        harness.add("a0", [4, 5], owner=1)
        harness.add("a1", [4, 5], owner=1)
        harness.add("b0", [4, 6], owner=2, priority=-9, outranks=outranks)
        harness.add("b1", [4, 6], owner=2, priority=-9, outranks=outranks)
        assert firsts(harness)[1:3] == ([first, "b0"] if not outranks else ["b0", "b1"])


def test_who_matters_least_gives_its_blocks_back() -> None:
    harness = Harness(num_blocks=16, max_model_len=64)
    names = ["soon", "late", "other"]
    harness.add("late", [1, 2], max_tokens=40, priority=5)
    harness.add("soon", [3, 4], max_tokens=40, priority=-5)
    harness.add("other", [5, 6], max_tokens=40)
    while not harness.engine.stats().preemptions:
        harness.step()
    waiting = [sequence.request.id for sequence in harness.engine.scheduler.waiting]
    assert waiting == ["late"]
    harness.run()
    assert sorted(request_id for request_id, _ in harness.endings) == sorted(names)


def test_the_owner_that_holds_most_gives_its_blocks_back() -> None:
    harness = Harness(num_blocks=16, max_model_len=64)
    for number in range(3):
        harness.add(f"big{number}", [number, 2], max_tokens=40, owner=1)
    harness.add("small", [40, 41], max_tokens=40, owner=2)  # the youngest of all
    while not harness.engine.stats().preemptions:
        harness.step()
    assert [sequence.request.id for sequence in harness.engine.scheduler.waiting] == ["big2"]
    harness.run()


@dataclass(frozen=True)
class Asked:
    prompt: list[int]
    n: int
    beams: int
    max_tokens: int
    owner: int
    priority: int
    arrival: int
    leaves: int | None


ASKED = st.builds(
    Asked,
    prompt=st.lists(st.integers(0, 5), min_size=1, max_size=24),
    n=st.integers(1, 3),
    beams=st.sampled_from([0, 0, 0, 2, 3]),
    max_tokens=st.integers(1, 12),
    owner=st.integers(1, 3),
    priority=st.integers(-2, 2),
    arrival=st.integers(0, 30),
    leaves=st.none() | st.integers(1, 30),
)


def drive(harness: Harness, requests: Sequence[Asked], *, right: bool = False, neutral: int | None = None) -> None:
    """Let requests come and go; `neutral`: an owner whose priorities are all one number."""
    for now in range(61):
        for number, asked in enumerate(requests):
            if asked.arrival == now:
                wishes = {"beams": Beams(asked.beams, 1.0, False), "seed": 0} if asked.beams else {"seed": number}
                harness.add(
                    f"r{number}",
                    asked.prompt,
                    n=1 if asked.beams else asked.n,
                    max_tokens=asked.max_tokens,
                    owner=asked.owner,
                    priority=7 if neutral == asked.owner else asked.priority,
                    outranks=right and asked.owner == 1,
                    **wishes,
                )
            if asked.leaves is not None and asked.arrival + asked.leaves == now:
                harness.engine.cancel(Cancel(f"r{number}"))
        harness.step()
    harness.run()


def small(num_blocks: int, seqs: int, budget: int) -> Harness:
    return Harness(
        num_blocks=num_blocks,
        max_model_len=num_blocks * 4,
        max_num_seqs=seqs,
        max_num_batched_tokens=budget,
        max_prefill_beside_decodes=budget,
    )


@settings(max_examples=100, deadline=None)
@given(
    num_blocks=st.integers(30, 60),
    seqs=st.integers(3, 6),
    budget=st.integers(3, 30),
    right=st.booleans(),
    requests=st.lists(ASKED, min_size=1, max_size=12),
)
def test_any_owners_and_priorities_end_exact_and_leak_nothing(
    num_blocks: int, seqs: int, budget: int, right: bool, requests: list[Asked]
) -> None:
    harness = small(num_blocks, seqs, budget)
    drive(harness, requests, right=right)
    alone = small(60, 6, 64)
    for number, asked in enumerate(requests):
        if asked.leaves is None:
            drive(alone, [Asked(asked.prompt, 0, 0, 0, 0, 0, 99, None)])  # nothing: the same engine goes on
            beams = {"beams": Beams(asked.beams, 1.0, False), "seed": 0} if asked.beams else {"seed": number}
            n = 1 if asked.beams else asked.n
            alone.add(f"r{number}", asked.prompt, n=n, max_tokens=asked.max_tokens, **beams)
            alone.run()
            for choice in range(n):
                assert harness.tokens[f"r{number}", choice] == alone.tokens[f"r{number}", choice]


@settings(max_examples=60, deadline=None)
@given(
    num_blocks=st.integers(30, 60),
    seqs=st.integers(3, 6),
    budget=st.integers(3, 30),
    requests=st.lists(ASKED, min_size=2, max_size=12),
)
def test_without_the_right_the_size_of_a_priority_is_nothing_to_other_owners(
    num_blocks: int, seqs: int, budget: int, requests: list[Asked]
) -> None:
    """An owner of one priority is served step by step the same, whatever number it writes there."""
    requests = [
        Asked(r.prompt, r.n, r.beams, r.max_tokens, r.owner, 0 if r.owner == 1 else r.priority, r.arrival, r.leaves)
        for r in requests
    ]
    one, other = small(num_blocks, seqs, budget), small(num_blocks, seqs, budget)
    drive(one, requests)
    drive(other, requests, neutral=1)
    assert [shape(plan) for plan in one.runner.plans] == [shape(plan) for plan in other.runner.plans]


def shape(plan: StepPlan) -> list[tuple[int, int, int]]:
    return [(row.sequence_id, row.start, len(row.token_ids)) for row in plan.rows]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(1, 12)), min_size=40, max_size=60),
    seqs=st.integers(1, 4),
)
def test_owners_that_always_wait_are_served_alike(sizes: list[tuple[int, int, int]], seqs: int) -> None:
    """The bound of the paper's theorem 4.3: twice the larger of a longest prompt and what all places can hold."""
    assume({owner for owner, _, _ in sizes} == {1, 2, 3})
    harness = Harness(num_blocks=128, max_num_seqs=seqs, max_num_batched_tokens=64, max_prefill_beside_decodes=64)
    for number, (owner, prompt, max_tokens) in enumerate(sizes):
        harness.add(f"r{number}", [number % 50] * prompt, max_tokens=max_tokens, owner=owner)
    waiting = harness.engine.scheduler.waiting
    bound = 2 * max(20, OUTPUT_COST * seqs * 12) + 20 * seqs
    while {sequence.request.owner for sequence in waiting} == {1, 2, 3}:
        harness.step()
        served = [waiting.served(owner) for owner in (1, 2, 3)]
        assert max(served) - min(served) <= bound
    harness.run()


@pytest.mark.parametrize("endless", [1, 4])
def test_nobody_starves_beside_an_endless_stream(endless: int) -> None:
    harness = Harness(max_num_seqs=2)
    harness.add("patient", range(20), owner=9)
    for number in range(400):
        if ("patient", 0) in harness.endings:
            break
        harness.add(f"s{number}", [number % 40, 1], max_tokens=3, owner=number % endless)
        harness.step()
    assert ("patient", 0) in harness.endings
