from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TypicalLogitsWarper

from portico.decode.logprobs import token_logprobs
from portico.engine.plan import Draw
from portico.kernels.dispatch import Kernels, select_kernels
from portico.protocol.sampling import TokenParams
from portico.run.drawing import draw_rows

VOCAB = 40
KERNELS = [select_kernels(torch.device("cpu"), torch.float32, choice) for choice in ("torch", "auto")]


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@given(seed=st.integers(0, 10_000), wanted=st.lists(st.integers(0, VOCAB + 3), min_size=1, max_size=4))
def test_values_are_those_of_log_softmax(kernels: Kernels, dtype: torch.dtype, seed: int, wanted: list[int]) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Few distinct values, so that there are ties.
    logits = torch.randint(-6, 6, (len(wanted), VOCAB), generator=generator).to(dtype)
    tokens = torch.randint(0, VOCAB, (len(wanted),), generator=generator)
    exact = logits.double().log_softmax(-1)
    for row, told in enumerate(token_logprobs(logits, tokens, wanted, kernels)):
        own = exact[row, tokens[row]]
        assert told.logprob == pytest.approx(float(own), abs=1e-5)
        assert told.rank == int((exact[row] >= own).sum())
        order = sorted(range(VOCAB), key=lambda i: (-float(logits[row, i]), i))[: wanted[row]]
        assert told.top_ids == order
        assert told.top == pytest.approx(exact[row, order].tolist(), abs=1e-5)


@pytest.mark.parametrize("kernels", KERNELS)
def test_a_row_is_the_same_alone(kernels: Kernels) -> None:
    logits = torch.randn(5, VOCAB, generator=torch.Generator().manual_seed(1))
    tokens = torch.arange(5)
    together = token_logprobs(logits, tokens, [3, 0, 7, 1, 2], kernels)
    for row, wanted in enumerate([3, 0, 7, 1, 2]):
        assert token_logprobs(logits[row : row + 1], tokens[row : row + 1], [wanted], kernels) == [together[row]]


@pytest.mark.parametrize("kernels", KERNELS)
def test_logits_in_place_of_log_probabilities(kernels: Kernels) -> None:
    logits = torch.randn(2, VOCAB, generator=torch.Generator().manual_seed(1))
    for row, told in enumerate(token_logprobs(logits, torch.tensor([3, 4]), [2, 2], kernels, as_logits=True)):
        assert told.logprob == pytest.approx(float(logits[row, 3 + row]))
        assert told.top == pytest.approx(logits[row].topk(2).values.tolist())


@pytest.mark.parametrize("kernels", KERNELS)
def test_what_is_drawn_from(kernels: Kernels) -> None:
    logits = torch.randn(1, VOCAB, generator=torch.Generator().manual_seed(2)) * 2
    wishes = TokenParams(
        max_tokens=1, seed=3, temperature=0.5, top_k=6, typical_p=0.95, logit_bias=((7, 9.0),), logprobs=8
    )
    draw = Draw(wishes, 0, 0, [1], [])
    (result,) = draw_rows(logits, [draw], kernels, mode="processed_logprobs")
    told = result.logprobs
    assert told is not None
    biased = logits[0].clone()
    biased[7] += 9
    warpers = LogitsProcessorList([TemperatureLogitsWarper(0.5), TopKLogitsWarper(6), TypicalLogitsWarper(0.95)])
    exact = warpers(torch.zeros(1, 1, dtype=torch.long), biased[None].double())[0].log_softmax(-1)
    kept = torch.nonzero(exact > -torch.inf).flatten()
    assert len(told.top_ids) == len(kept) <= 6
    assert told.top == pytest.approx(exact.sort(descending=True).values[: len(kept)].tolist(), abs=1e-5)
    assert told.logprob == pytest.approx(float(exact[result.token_ids[0]]), abs=1e-5)
    (raw,) = draw_rows(logits, [draw], kernels)
    assert raw.token_ids == result.token_ids
    assert raw.logprobs is not None
    assert raw.logprobs.logprob == pytest.approx(float(logits[0].log_softmax(-1)[raw.token_ids[0]]), abs=1e-5)
