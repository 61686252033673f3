"""Drawing tokens: filters against `transformers`, frequencies, and rows that do not see each other."""

from __future__ import annotations

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

from portico.decode.penalties import penalties
from portico.decode.sampling import greedy, sample
from portico.kernels.dispatch import Kernels, select_kernels
from portico.protocol.sampling import TokenParams

VOCAB = 700
KERNELS = [select_kernels(torch.device("cpu"), torch.float32, choice) for choice in ("torch", "auto")]
"""The plain twins, and what is fastest here."""


def params(**wishes: float) -> TokenParams:
    return TokenParams(max_tokens=1, seed=0, **wishes)  # type: ignore[arg-type]


def logits(rows: int, seed: int = 0, scale: float = 3.0) -> torch.Tensor:
    return torch.randn(rows, VOCAB, generator=torch.Generator().manual_seed(seed)) * scale


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
    token = int(sample(row, [wishes], np.array([at]), kernels))
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
    together = sample(scores.clone(), [wishes for wishes, _ in rows], np.array([at for _, at in rows]), kernels)
    for i, (wishes, at) in enumerate(rows):
        assert int(sample(scores[i : i + 1].clone(), [wishes], np.array([at]), kernels)) == int(together[i])


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(
    "wishes", [params(), params(temperature=0.7, top_k=5), params(top_p=0.6), params(typical_p=0.5)]
)
def test_frequencies(kernels: Kernels, wishes: TokenParams) -> None:
    count = 4000
    row = logits(1, seed=5, scale=1.5)[:, :40]
    at = (np.arange(count) + 0.5) / count
    drawn = sample(row.expand(count, -1).clone(), [wishes] * count, at, kernels)
    frequencies = torch.bincount(drawn, minlength=40) / count
    assert float((frequencies - oracle_probabilities(row[0], wishes)).abs().max()) < 2 / count


@pytest.mark.parametrize("kernels", KERNELS)
def test_equal_logits_are_kept_together_and_greedy_takes_the_first(kernels: Kernels) -> None:
    flat = torch.zeros(1, VOCAB)
    drawn = {int(sample(flat.clone(), [params(top_k=3)], np.array([at]), kernels)) for at in np.linspace(0, 0.999, 50)}
    assert len(drawn) > 40
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
    drawn = sample(row.expand(len(kept), -1).clone(), [wishes] * len(kept), middles.numpy(), kernels)
    assert drawn.tolist() == kept.tolist()


@pytest.mark.parametrize("kernels", KERNELS)
def test_typical_p_may_drop_the_likeliest_token(kernels: Kernels) -> None:
    """The entropy is 1.64: tokens of probability 0.12, whose information is 2.12, are nearer to it than 0.4's 0.92."""
    row = torch.tensor([[0.4, 0.12, 0.12, 0.12, 0.12, 0.12]]).log().repeat(64, 1)
    drawn = sample(row, [params(typical_p=0.4)] * 64, np.arange(64) / 64, kernels)
    assert drawn.unique().tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kernels", KERNELS)
@settings(max_examples=50, deadline=None)
@given(
    prompt=st.lists(st.integers(0, VOCAB - 1), max_size=20),
    output=st.lists(st.integers(0, VOCAB - 1), max_size=20),
    repetition=st.floats(0.5, 2.0),
)
def test_repetition_is_the_oracles(kernels: Kernels, prompt: list[int], output: list[int], repetition: float) -> None:
    row = logits(1, seed=1)[0]
    ours = row[None].clone()
    kernels.penalize(ours, penalties([(params(repetition_penalty=repetition), prompt, output)], ours.device))
    seen = torch.tensor([prompt + output], dtype=torch.long)
    theirs = RepetitionPenaltyLogitsProcessor(repetition)(seen, row[None].clone())[0] if seen.numel() else row
    assert torch.allclose(ours[0], theirs)


@pytest.mark.parametrize("kernels", KERNELS)
def test_presence_and_frequency_look_at_the_output_alone(kernels: Kernels) -> None:
    wishes = params(presence_penalty=0.5, frequency_penalty=0.25)
    rows = [(wishes, [0, 0, 5], [1, 2, 2]), (params(), [1], [1, 2]), (wishes, [0], [])]
    found = torch.zeros(3, 6)
    kernels.penalize(found, penalties(rows, found.device))
    assert found.tolist() == [[0, -0.75, -1.0, 0, 0, 0], [0.0] * 6, [0.0] * 6]


@pytest.mark.parametrize("kernels", KERNELS)
def test_all_penalties_of_many_rows_at_once(kernels: Kernels) -> None:
    rows = [
        (
            params(presence_penalty=row / 7, frequency_penalty=0.1, repetition_penalty=1 + row / 9),
            [row, 1, 2],
            [2] * row,
        )
        for row in range(12)
    ]
    together, alone = logits(12, seed=3), logits(12, seed=3)
    kernels.penalize(together, penalties(rows, together.device))
    for row, wishes in enumerate(rows):
        kernels.penalize(alone[row : row + 1], penalties([wishes], alone.device))
    assert torch.equal(together, alone)
    assert not torch.equal(together, logits(12, seed=3))
