from __future__ import annotations

import pytest

from portico.errors import RequestError
from portico.protocol.sampling import SamplingParams
from portico.text.room import check_answer


def room(
    sampling: SamplingParams, prompt_len: int = 10, prompt: str = "prompt", most: str = "max_tokens", cut: bool = False
) -> int:
    return check_answer(sampling, prompt_len, 100, max_tokens_param=most, prompt_param=prompt, cut=cut)


def test_exactly_the_context_fits_and_one_more_does_not() -> None:
    assert room(SamplingParams(max_tokens=90)) == room(SamplingParams()) == 90
    with pytest.raises(RequestError, match="100 tokens, but 101 were asked for: 10 in the prompt and 91") as caught:
        room(SamplingParams(max_tokens=91), most="max_completion_tokens")
    assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")
    assert caught.value.param == "max_completion_tokens"


def test_an_answer_may_be_cut_to_the_context_but_not_to_nothing() -> None:
    assert room(SamplingParams(max_tokens=1000), cut=True) == 90
    with pytest.raises(RequestError, match="leaves no room"):
        room(SamplingParams(max_tokens=1000), 100, cut=True)


def test_a_prompt_that_fills_the_context_is_refused_by_itself() -> None:
    assert room(SamplingParams(), 99) == 1
    with pytest.raises(RequestError, match="100 tokens, but the prompt has 100 tokens") as caught:
        room(SamplingParams(), 100, prompt="messages")
    assert (caught.value.param, caught.value.code) == ("messages", "context_length_exceeded")
