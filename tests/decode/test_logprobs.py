from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from portico.decode.logprobs import token_logprobs
from portico.kernels.dispatch import Kernels, select_kernels

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
