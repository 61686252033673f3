"""Drawing tokens: filters against `transformers`, frequencies, and rows that do not see each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from portico.decode.adjust import Wish, changes
from portico.decode.sampling import greedy, sample
from portico.kernels.dispatch import Kernels, select_kernels
from portico.protocol.sampling import TokenParams

VOCAB = 700
KERNELS = [select_kernels(torch.device("cpu"), torch.float32, choice) for choice in ("torch", "auto")]
"""The plain twins, and what is fastest here."""


def params(**wishes: Any) -> TokenParams:
    return TokenParams(max_tokens=1, seed=0, **wishes)


def logits(rows: int, seed: int = 0, scale: float = 3.0) -> torch.Tensor:
    return torch.randn(rows, VOCAB, generator=torch.Generator().manual_seed(seed)) * scale


def drawn(rows: torch.Tensor, wishes: list[TokenParams], at: np.ndarray, kernels: Kernels) -> torch.Tensor:
    tokens, chosen = sample(rows, wishes, at, kernels)
    assert torch.equal(chosen, rows.gather(1, tokens.unsqueeze(1)).squeeze(1)) or any(w.typical_p < 1 for w in wishes)
    return tokens


def changed(
    rows: torch.Tensor, wishes: list[tuple[TokenParams, list[int], list[int]]], kernels: Kernels
) -> torch.Tensor:
    done = changes([Wish(*wish) for wish in wishes], rows.shape[1], rows.device)
    return rows.clone() if done is None else kernels.change(rows, done)


WISHES = st.builds(
    params,
    temperature=st.floats(0.2, 2.0),
    top_k=st.sampled_from([0, 1, 2, 20, 255, 256, 300, 5000]),
    top_p=st.sampled_from([1.0, 0.99, 0.9, 0.5, 0.01]),
    min_p=st.sampled_from([0.0, 0.001, 0.1, 0.9, 1.0]),
    typical_p=st.sampled_from([1.0, 0.999, 0.9, 0.5, 0.2, 0.01]),
)


def oracle_probabilities(row: torch.Tensor, wishes: TokenParams) -> torch.Tensor:
    warpers = LogitsProcessorList([TemperatureLogitsWarper(wishes.temperature)])
    if wishes.top_k:
        warpers.append(TopKLogitsWarper(wishes.top_k))
    if wishes.top_p < 1:
        warpers.append(TopPLogitsWarper(wishes.top_p))
    if wishes.min_p:
        warpers.append(MinPLogitsWarper(wishes.min_p))
    if wishes.typical_p < 1:
        warpers.append(TypicalLogitsWarper(wishes.typical_p))
    # In float64, so that rounding alone puts no token on the wrong side of a border.
    return torch.softmax(warpers(torch.zeros(1, 1, dtype=torch.long), row[None].double()), dim=-1)[0]


@settings(max_examples=150, deadline=None)
@given(kernels=st.sampled_from(KERNELS), wishes=WISHES, seed=st.integers(0, 20), at=st.floats(0, 1, exclude_max=True))
def test_a_draw_inverts_the_oracles_distribution(kernels: Kernels, wishes: TokenParams, seed: int, at: float) -> None:
    row = logits(1, seed)
    token = int(drawn(row, [wishes], np.array([at]), kernels))
    cumulated = oracle_probabilities(row[0], wishes).double().cumsum(0)
    below = float(cumulated[token - 1]) if token else 0.0
    assert below - 1e-5 <= at <= float(cumulated[token]) + 1e-5


@settings(max_examples=60, deadline=None)
@given(
    kernels=st.sampled_from(KERNELS),
    rows=st.lists(st.tuples(WISHES, st.floats(0, 1, exclude_max=True)), min_size=1, max_size=12),
)
def test_rows_do_not_see_each_other(kernels: Kernels, rows: list[tuple[TokenParams, float]]) -> None:
    scores = logits(len(rows), seed=3)
    together = drawn(scores.clone(), [wishes for wishes, _ in rows], np.array([at for _, at in rows]), kernels)
    for i, (wishes, at) in enumerate(rows):
        assert int(drawn(scores[i : i + 1].clone(), [wishes], np.array([at]), kernels)) == int(together[i])


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(
    "wishes", [params(), params(temperature=0.7, top_k=5), params(top_p=0.6), params(typical_p=0.5)]
)
def test_frequencies(kernels: Kernels, wishes: TokenParams) -> None:
    count = 4000
    row = logits(1, seed=5, scale=1.5)[:, :40]
    at = (np.arange(count) + 0.5) / count
    tokens = drawn(row.expand(count, -1).clone(), [wishes] * count, at, kernels)
    frequencies = torch.bincount(tokens, minlength=40) / count
    assert float((frequencies - oracle_probabilities(row[0], wishes)).abs().max()) < 2 / count


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("share", [1e-30, 1e-45, 5e-324])
def test_the_smallest_share_leaves_the_likeliest(kernels: Kernels, share: float) -> None:
    row = logits(1, seed=5)
    for wishes in (params(top_p=share), params(top_p=share, top_k=7), params(top_p=share, typical_p=share)):
        assert int(drawn(row.clone(), [wishes], np.array([0.99]), kernels)) == int(row.argmax())


@pytest.mark.parametrize("kernels", KERNELS)
def test_equal_logits_are_kept_together_and_greedy_takes_the_first(kernels: Kernels) -> None:
    flat = torch.zeros(1, VOCAB)
    tokens = {int(drawn(flat.clone(), [params(top_k=3)], np.array([at]), kernels)) for at in np.linspace(0, 0.999, 50)}
    assert len(tokens) > 40
    assert int(greedy(flat, kernels)) == 0


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("others", [{}, {"top_k": 30}, {"top_p": 0.8}, {"min_p": 0.05}])
@pytest.mark.parametrize("mass", [0.001, 0.2, 0.7, 0.95])
def test_typical_p_keeps_the_tokens_that_the_oracle_keeps(
    kernels: Kernels, others: dict[str, float], mass: float
) -> None:
    wishes = params(typical_p=mass, **others)
    row = logits(1, seed=7, scale=1.5)[:, :300]
    cumulated = oracle_probabilities(row[0], wishes).cumsum(0)
    kept = torch.nonzero(cumulated.diff(prepend=cumulated.new_zeros(1)) > 0).flatten()
    middles = (cumulated[kept] + torch.cat((cumulated.new_zeros(1), cumulated[kept[:-1]]))) / 2
    tokens = drawn(row.expand(len(kept), -1).clone(), [wishes] * len(kept), middles.numpy(), kernels)
    assert tokens.tolist() == kept.tolist()


@pytest.mark.parametrize("kernels", KERNELS)
def test_typical_p_may_drop_the_likeliest_token(kernels: Kernels) -> None:
    """The entropy is 1.64: tokens of probability 0.12, whose information is 2.12, are nearer to it than 0.4's 0.92."""
    row = torch.tensor([[0.4, 0.12, 0.12, 0.12, 0.12, 0.12]]).log().repeat(64, 1)
    tokens = drawn(row, [params(typical_p=0.4)] * 64, np.arange(64) / 64, kernels)
    assert tokens.unique().tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kernels", KERNELS)
@settings(max_examples=50, deadline=None)
@given(
    prompt=st.lists(st.integers(0, VOCAB - 1), max_size=20),
    output=st.lists(st.integers(0, VOCAB - 1), max_size=20),
    repetition=st.floats(0.5, 2.0),
)
def test_repetition_is_the_oracles(kernels: Kernels, prompt: list[int], output: list[int], repetition: float) -> None:
    row = logits(1, seed=1)[0]
    ours = changed(row[None], [(params(repetition_penalty=repetition), prompt, output)], kernels)
    seen = torch.tensor([prompt + output], dtype=torch.long)
    theirs = RepetitionPenaltyLogitsProcessor(repetition)(seen, row[None].clone())[0] if seen.numel() else row
    assert torch.allclose(ours[0], theirs)


@pytest.mark.parametrize("kernels", KERNELS)
def test_presence_and_frequency_look_at_the_output_alone(kernels: Kernels) -> None:
    wishes = params(presence_penalty=0.5, frequency_penalty=0.25)
    rows = [(wishes, [0, 0, 5], [1, 2, 2]), (params(), [1], [1, 2]), (wishes, [0], [])]
    assert changed(torch.zeros(3, 6), rows, kernels).tolist() == [[0, -0.75, -1.0, 0, 0, 0], [0.0] * 6, [0.0] * 6]


MANY = [
    (
        params(
            temperature=0.0 if row % 4 == 3 else 1.0,
            presence_penalty=row / 7,
            frequency_penalty=0.1,
            repetition_penalty=1 + row / 9,
            top_k=row % 3 * 5,
            bad_words=((row,),) if row % 2 else (),
            logit_bias=((40, 1.5), (2, -3.0)) if row % 5 == 1 else (),
        ),
        [row, 1, 2],
        [2] * row,
    )
    for row in range(12)
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kernels", KERNELS)
def test_changes_of_many_rows_are_those_of_each_alone(kernels: Kernels, dtype: torch.dtype) -> None:
    rows = logits(12, seed=3).to(dtype)
    together = changed(rows, MANY, kernels)
    assert torch.equal(together, torch.cat([changed(rows[i : i + 1], MANY[i : i + 1], kernels) for i in range(12)]))
    assert all(not torch.equal(got, row.float()) for got, row in zip(together[1:], rows[1:], strict=True))
    torch.testing.assert_close(together, changed(rows, MANY, KERNELS[0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kernels", KERNELS)
def test_drawing_with_changes_is_drawing_from_what_they_make(kernels: Kernels, dtype: torch.dtype) -> None:
    rows, at = logits(12, seed=4).to(dtype), np.linspace(0, 0.99, 12)
    wishes = [wish for wish, _, _ in MANY]
    done = changes([Wish(*wish) for wish in MANY], VOCAB, rows.device)
    wide = changed(rows, MANY, kernels)
    tokens, chosen = sample(rows, wishes, at, kernels, done)
    assert torch.equal(tokens, drawn(wide, wishes, at, kernels))
    assert torch.equal(chosen, wide.gather(1, tokens.unsqueeze(1)).squeeze(1))
    for row in range(3, 12, 4):
        assert tokens[row] == wide[row].argmax()
