"""Beam search in the engine: beams share blocks, are preempted together, and end together."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.protocol.messages import Add, Cancel
from portico.protocol.sampling import Beams
from tests.engine.fake_runner import Harness


def search(harness: Harness, name: str, prompt: list[int], beams: Beams, *, n: int = 1, **params: object) -> Add:
    return harness.add(name, prompt, n=n, beams=beams, **params)


def answers(harness: Harness, add: Add) -> list[tuple[list[int], str]]:
    return [
        (harness.tokens[add.request_id, choice], harness.endings[add.request_id, choice]) for choice in range(add.n)
    ]


def alone(add: Add) -> list[tuple[list[int], str]]:
    """What a request gives in an engine of its own with room for everything."""
    harness = Harness(num_blocks=1024, max_num_seqs=64, max_num_batched_tokens=256)
    harness.engine.add(add)
    harness.run()
    return answers(harness, add)


BEAMS = Beams(4, 1.0, early_stopping=False)


def test_answers_differ_and_come_whole() -> None:
    harness = Harness()
    add = search(harness, "a", list(range(9)), BEAMS, n=3, max_tokens=7)
    harness.run()
    found = answers(harness, add)
    assert len({tuple(tokens) for tokens, _ in found}) == 3
    assert [(len(tokens), ending) for tokens, ending in found] == [(7, "length")] * 3


def test_beams_share_blocks_until_they_write() -> None:
    harness = Harness(num_blocks=64, max_num_batched_tokens=64)
    search(harness, "a", list(range(41)), BEAMS, max_tokens=10)
    harness.step()
    assert harness.engine.scheduler.pool.num_used == 11  # ten full blocks and one that all four are to write to
    harness.step()
    rows = harness.runner.plans[-1].rows
    copies = [row.copied for row in rows if row.copied is not None]
    assert len({target for _, target in copies}) == len(copies) == 3
    harness.run()


def test_computing_is_one_token_a_beam_and_step() -> None:
    harness = Harness(num_blocks=64, max_num_batched_tokens=64)
    search(harness, "a", list(range(21)), BEAMS, max_tokens=6)
    harness.run()
    assert [sum(len(row.token_ids) for row in plan.rows) for plan in harness.runner.plans] == [21, 4, 4, 4, 4, 4]


def test_a_search_waits_until_all_its_beams_have_a_place() -> None:
    harness = Harness(max_num_seqs=4)
    first = harness.add("first", [1, 2], max_tokens=5)
    add = search(harness, "a", [3, 4, 5], BEAMS, max_tokens=4)
    for _ in range(4):
        harness.step()
        assert ("a", 0) not in harness.tokens
    harness.run()
    harness.assert_exact(first)
    assert answers(harness, add) == alone(add)


def test_preempted_beams_come_back_as_they_were() -> None:
    harness = Harness(num_blocks=40, max_model_len=64)
    old = [harness.add(f"old{i}", [i, 7, 7, 7, 7], max_tokens=36) for i in range(3)]
    add = search(harness, "a", list(range(10)), BEAMS, n=4, max_tokens=30)
    harness.run()
    assert harness.engine.scheduler.preemptions
    assert answers(harness, add) == alone(add)
    for other in old:
        harness.assert_exact(other)


def test_a_cancelled_search_leaves_nothing() -> None:
    harness = Harness()
    search(harness, "a", list(range(9)), BEAMS, n=2, max_tokens=20)
    for _ in range(4):
        harness.step()
    harness.engine.cancel(Cancel("a", 1))
    assert harness.engine.has_work
    harness.engine.cancel(Cancel("a"))
    assert not harness.engine.has_work
    harness.engine.check()


def test_a_failing_beam_ends_its_search_alone() -> None:
    harness = Harness(poison=49)
    other = harness.add("other", [1, 2, 3], max_tokens=3)
    add = search(harness, "a", [0, 49], BEAMS, n=3, max_tokens=20)
    harness.run()
    harness.assert_exact(other)
    assert [ending for _, ending in answers(harness, add)] == ["error"] * 3


def test_a_search_for_a_prompt_alone_only_reads() -> None:
    harness = Harness()
    add = search(harness, "a", [1, 2, 3], BEAMS, max_tokens=0)
    harness.run()
    assert answers(harness, add) == [([], "length")]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_company_and_shortage_change_no_search(data: st.DataObject) -> None:
    harness = Harness(num_blocks=data.draw(st.integers(40, 90), "blocks"), max_model_len=40, max_num_batched_tokens=12)
    stopping: list[bool | Literal["never"]] = [False, True, "never"]
    adds = []
    for number in range(data.draw(st.integers(1, 5), "requests")):
        prompt = data.draw(st.lists(st.integers(0, 49), min_size=1, max_size=20), "prompt")
        width = data.draw(st.integers(1, 4), "width")
        beams = Beams(width, data.draw(st.sampled_from([-1.0, 0.0, 1.0, 2.0])), data.draw(st.sampled_from(stopping)))
        stops = tuple(data.draw(st.lists(st.integers(0, 49), max_size=3, unique=True), "stops"))
        most = data.draw(st.integers(1, 16), "max_tokens")
        n = data.draw(st.integers(1, width), "n")
        adds.append(search(harness, f"r{number}", prompt, beams, n=n, max_tokens=most, stop_token_ids=stops))
        for _ in range(data.draw(st.integers(0, 4), "steps")):
            harness.step()
    harness.run()
    for add in adds:
        assert answers(harness, add) == alone(add)


@pytest.mark.parametrize("early_stopping", [True, False, "never"])
def test_more_patience_finds_no_worse(early_stopping: bool | Literal["never"]) -> None:
    found = {}
    for width in (1, 8):
        harness = Harness(max_num_seqs=8)
        add = search(
            harness, "a", [1], Beams(width, 0.0, early_stopping), max_tokens=12, logprobs=0, stop_token_ids=(5, 6)
        )
        done = []
        while harness.engine.has_work:
            done += harness.step().events
        found[width] = sum(told.logprob for told in done[0].logprobs or [])
        assert len(done[0].logprobs or []) == len(harness.tokens[add.request_id, 0])
    assert found[8] >= found[1]
