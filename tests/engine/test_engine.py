"""The engine on a runner that notices every wrong block: endings, chunking, sharing, preemption, isolation."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.protocol.messages import Cancel
from portico.protocol.sampling import Grammar
from tests.engine.fake_runner import VOCABULARY, Harness, expected_output

FORCING = Grammar("", ())
"""A grammar under which the fake model's tokens are often followed by others that must come."""


def test_a_request_alone_gives_what_the_model_says() -> None:
    harness = Harness()
    add = harness.add("a", range(10))
    harness.run()
    harness.assert_exact(add)


def test_strangers_do_not_change_each_others_tokens() -> None:
    harness = Harness(num_blocks=256)
    adds = [harness.add(f"r{i}", [i, *range(i % 7 + 1)], max_tokens=3 + i % 5, seed=i) for i in range(32)]
    harness.run()
    for add in adds:
        harness.assert_exact(add)


def test_a_long_prompt_never_stalls_running_streams() -> None:
    harness = Harness(num_blocks=128, max_model_len=256, max_num_batched_tokens=16)
    streams = [harness.add(f"s{i}", [i, 1, 2], max_tokens=60) for i in range(3)]
    while not all((s.request_id, 0) in harness.tokens for s in streams):
        harness.step()
    long = harness.add("long", [i % VOCABULARY for i in range(200)])
    while ("long", 0) not in harness.tokens:
        done = harness.step()
        assert {s.request_id for s in streams} <= {e.request_id for e in done.events}
    harness.run()
    for add in [*streams, long]:
        harness.assert_exact(add)


def test_stop_token_is_the_last_one() -> None:
    output, _ = expected_output([1, 2, 3], Harness().add("x", [1, 2, 3]).params, 0, 64)
    harness = Harness()
    add = harness.add("a", [1, 2, 3], stop_token_ids=(output[2],))
    harness.run()
    harness.assert_exact(add)
    assert harness.endings["a", 0] == "stop"
    assert harness.tokens["a", 0][-1] == output[2]


def test_the_context_ends_a_request_with_length() -> None:
    harness = Harness(max_model_len=20)
    add = harness.add("a", range(15), max_tokens=100)
    harness.run()
    harness.assert_exact(add)
    assert len(harness.tokens["a", 0]) == 5
    assert harness.endings["a", 0] == "length"


@pytest.mark.parametrize("prompt", [[], list(range(64))])
def test_a_prompt_that_cannot_run_is_refused_alone(prompt: list[int]) -> None:
    harness = Harness()
    good = harness.add("good", [1, 2])
    harness.add("bad", prompt, n=2)
    harness.run()
    harness.assert_exact(good)
    assert harness.endings["bad", 0] == harness.endings["bad", 1] == "error"


def test_an_id_in_use_is_refused_and_its_owner_goes_on() -> None:
    harness = Harness()
    harness.add("a", [1, 2, 3], max_tokens=4)
    harness.step()
    harness.engine.add(harness.add("b", [1]))
    done = harness.engine.step()
    assert [e.finish for e in done.events if e.request_id == "b" and e.finish == "error"] == ["error"]


def test_tokens_that_must_follow_cost_no_step_of_their_own() -> None:
    harness = Harness()
    add = harness.add("a", [1, 2, 3], max_tokens=20, grammar=FORCING)
    harness.run()
    harness.assert_exact(add)
    lengths = [len(plan.rows[0].token_ids) for plan in harness.runner.plans]
    assert max(lengths[1:]) > 1
    assert sum(lengths) <= 3 + 20


def test_tokens_that_must_follow_wait_for_no_prompt() -> None:
    harness = Harness(num_blocks=128, max_model_len=256, max_num_batched_tokens=16)
    stream = harness.add("s", [1, 2, 3], max_tokens=60, grammar=FORCING)
    while ("s", 0) not in harness.tokens:
        harness.step()
    long = harness.add("long", [i % VOCABULARY for i in range(200)])
    while ("long", 0) not in harness.tokens and ("s", 0) not in harness.endings:
        assert "s" in {event.request_id for event in harness.step().events}
    harness.run()
    harness.assert_exact(stream)
    harness.assert_exact(long)


def test_prefix_is_computed_once() -> None:
    harness = Harness()
    first = harness.add("first", range(18))
    harness.run()
    second = harness.add("second", [*range(17), 40])
    harness.run()
    harness.assert_exact(first)
    harness.assert_exact(second)
    assert harness.cached["first", 0] == 0
    assert harness.cached["second", 0] == 16


def test_prefixes_are_computed_again_where_reuse_is_off() -> None:
    harness = Harness(num_blocks=24, reuse_prefixes=False)
    requests = [harness.add(name, range(18), n=2) for name in ("first", "second")]
    harness.run()
    requests.append(harness.add("third", range(18)))
    harness.run()
    for request in requests:
        harness.assert_exact(request)
    assert {harness.cached[name, 0] for name in ("first", "second", "third")} == {0}


def test_an_identical_prompt_still_computes_its_last_token() -> None:
    harness = Harness()
    for name in ("a", "b"):
        add = harness.add(name, range(16))
        harness.run()
        harness.assert_exact(add)
    assert harness.cached["b", 0] == 12


def test_a_conversation_reuses_its_own_answers() -> None:
    harness = Harness()
    harness.add("one", range(10), max_tokens=10)
    harness.run()
    harness.add("two", [*range(10), *harness.tokens["one", 0], 3, 4])
    harness.run()
    assert harness.cached["two", 0] == 16


def test_choices_share_the_prompt() -> None:
    harness = Harness(num_blocks=64, max_num_batched_tokens=64)
    add = harness.add("a", range(32), n=4, max_tokens=6)
    computed = 0
    while harness.engine.has_work:
        before = len(harness.runner.plans)
        harness.step()
        computed += sum(len(row.token_ids) for plan in harness.runner.plans[before:] for row in plan.rows)
    harness.assert_exact(add)
    assert len({tuple(harness.tokens["a", c]) for c in range(4)}) == 4
    assert computed == 32 + 3 * 4 + 4 * 5  # one prompt, three last blocks, five further tokens each
    assert harness.cached["a", 0] == 0


def test_preempted_requests_say_the_same() -> None:
    harness = Harness(num_blocks=16, max_model_len=64, max_num_seqs=8)
    adds = [harness.add(f"r{i}", [i, i + 1], max_tokens=40) for i in range(6)]
    harness.run()
    assert harness.engine.stats().preemptions > 0
    for add in adds:
        harness.assert_exact(add)


def test_a_failing_row_ends_alone() -> None:
    harness = Harness(poison=49)
    good = [harness.add(f"g{i}", [i, 2, 3]) for i in range(3)]
    harness.add("bad", [1, 49, 3])
    harness.run()
    assert harness.endings["bad", 0] == "error"
    for add in good:
        output, _ = expected_output(add.prompt_ids, add.params, 0, 64)
        if 49 not in output:
            harness.assert_exact(add)


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 6])
@pytest.mark.parametrize("choice", [None, 0, 1])
def test_cancel_frees_everything_by_the_next_step(steps: int, choice: int | None) -> None:
    harness = Harness(max_num_batched_tokens=8)
    other = harness.add("other", [5, 6], max_tokens=12)
    add = harness.add("gone", range(20), n=3, max_tokens=10)
    for _ in range(steps):
        harness.step()
    harness.engine.cancel(Cancel("gone", choice))
    harness.engine.check()
    done = harness.step()
    gone = {0, 1, 2} if choice is None else {choice}
    assert not [e for e in done.events if e.request_id == "gone" and e.choice in gone]
    harness.run()
    harness.assert_exact(other)
    for kept in {0, 1, 2} - gone:
        output, _ = expected_output(add.prompt_ids, add.params, kept, 64)
        assert harness.tokens["gone", kept] == output


def test_cancel_of_the_unknown_is_no_error() -> None:
    Harness().engine.cancel(Cancel("nobody"))


PROMPTS = st.integers(0, 3).flatmap(
    lambda family: st.lists(st.integers(0, 5), min_size=1, max_size=24).map(lambda tail: [family] * 9 + tail)
)


@settings(max_examples=120, deadline=None)
@given(
    num_blocks=st.integers(12, 40),
    block_size=st.integers(1, 5).map(lambda n: n + 3),
    budget=st.integers(3, 40),
    beside=st.integers(1, 12),
    seqs=st.integers(1, 6),
    requests=st.lists(
        st.tuples(PROMPTS, st.integers(1, 3), st.integers(1, 12), st.integers(0, 30), st.integers(0, 60)),
        min_size=1,
        max_size=14,
    ),
)
def test_any_traffic_is_exact_and_leaks_nothing(
    num_blocks: int,
    block_size: int,
    budget: int,
    beside: int,
    seqs: int,
    requests: list[tuple[list[int], int, int, int, int]],
) -> None:
    harness = Harness(
        num_blocks=num_blocks,
        block_size=block_size,
        max_model_len=num_blocks * block_size,
        max_num_seqs=seqs,
        max_num_batched_tokens=budget,
        max_prefill_beside_decodes=beside,
    )
    requests = [r for r in requests if len(r[0]) < num_blocks * block_size]
    adds = {}
    cancelled = set()
    for now in range(61):
        for number, (prompt, n, max_tokens, arrival, leave) in enumerate(requests):
            if arrival == now:
                adds[number] = harness.add(
                    f"r{number}",
                    prompt,
                    n=n,
                    max_tokens=max_tokens,
                    seed=number,
                    grammar=FORCING if number % 2 else None,
                )
            if leave == now and leave > arrival and number % 3 == 0:
                harness.engine.cancel(Cancel(f"r{number}"))
                cancelled.add(number)
        harness.step()
    harness.run()
    for number, add in adds.items():
        if number not in cancelled:
            harness.assert_exact(add)


def test_the_first_event_of_a_request_says_when_it_got_its_place() -> None:
    harness = Harness(max_num_seqs=1)
    begun = time.monotonic()
    adds = [harness.add(name, [1, 2, 3], max_tokens=4) for name in ("a", "b")]
    places: dict[str, list[float | None]] = {"a": [], "b": []}
    computed = []
    while harness.engine.has_work:
        step = harness.step()
        computed.append(step.stats.step_tokens)
        for event in step.events:
            places[event.request_id].append(event.scheduled)
    first, second = (places[add.request_id][0] for add in adds)
    assert first is not None
    assert second is not None
    assert begun <= first < second <= time.monotonic()
    assert places["a"][1:] == places["b"][1:] == [None] * 3
    assert sum(computed) == 2 * (3 + 3)
    assert harness.engine.stats().step_tokens == 0
