"""Beam search against `transformers` on random weights, and against itself in every company."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from portico.engine.engine import Engine
from portico.engine.scheduler import Limits
from portico.protocol.messages import Add, TokenEvent
from portico.protocol.sampling import Beams, TokenParams
from tests.run.logits import BLOCK, load
from tests.run.test_exactness import prompt
from tests.tiny_models import make_tiny_model

BLOCKS = 320
PADDING = 1  # transformers takes 0 for none


@dataclass(frozen=True)
class Case:
    """Settings of a search, and the tokens that end an answer: several, so that answers do end."""

    width: int
    n: int
    length_penalty: float
    early_stopping: Any
    ends: tuple[int, ...] = ()
    max_tokens: int = 12


CASES = [
    Case(1, 1, 1.0, False),
    Case(4, 4, 1.0, False),
    Case(3, 2, 0.0, "never", (2,)),
    Case(4, 4, 1.0, False, (2, 5, 9, 40, 77, 120)),
    Case(4, 3, 1.0, True, tuple(range(20, 60))),
    Case(4, 4, 2.0, False, tuple(range(20, 60))),
    Case(5, 5, -1.0, False, tuple(range(100, 130))),
    Case(4, 4, 1.5, "never", tuple(range(20, 50))),
    Case(8, 2, 0.5, True, tuple(range(3, 9)), max_tokens=25),
]


@pytest.fixture(scope="module", params=["llama", "qwen3", "mistral-window"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PreTrainedModel]:
    folder = tmp_path_factory.mktemp(request.param)
    return folder, make_tiny_model(request.param, folder)


def engine(folder: Path) -> Engine:
    return Engine(load(folder), Limits(128, 64, 64, 16), num_blocks=BLOCKS, block_size=BLOCK)


def search(case: Case, name: str, prompt_ids: list[int]) -> Add:
    beams = Beams(case.width, case.length_penalty, case.early_stopping)
    params = TokenParams(max_tokens=case.max_tokens, seed=0, stop_token_ids=case.ends, beams=beams, logprobs=0)
    return Add(name, prompt_ids, params, case.n)


def run(engine: Engine, adds: list[Add]) -> dict[str, list[TokenEvent]]:
    found: dict[str, list[TokenEvent]] = {add.request_id: [] for add in adds}
    for add in adds:
        engine.add(add)
    while engine.has_work:
        for event in engine.step().events:
            found[event.request_id].append(event)
        engine.check()
    return found


def score(event: TokenEvent, case: Case) -> float:
    return sum(told.logprob for told in event.logprobs or []) / len(event.token_ids) ** case.length_penalty


def without_padding(token_ids: list[int]) -> list[int]:
    while token_ids[-1] == PADDING:
        del token_ids[-1]
    return token_ids


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("length", [1, 33])
def test_answers_are_those_of_transformers(model: tuple[Path, PreTrainedModel], case: Case, length: int) -> None:
    folder, oracle = model
    prompt_ids = prompt(length, seed=length)
    with torch.inference_mode():
        wanted = oracle.generate(
            torch.tensor([prompt_ids]),
            attention_mask=torch.ones(1, length, dtype=torch.int64),
            do_sample=False,
            num_beams=case.width,
            num_return_sequences=case.n,
            max_new_tokens=case.max_tokens,
            length_penalty=case.length_penalty,
            early_stopping=case.early_stopping,
            eos_token_id=list(case.ends) or None,
            pad_token_id=PADDING,
            return_dict_in_generate=True,
            output_scores=True,
        )
    found = run(engine(folder), [search(case, "a", prompt_ids)])["a"]
    sequences = [without_padding(line[length:].tolist()) for line in wanted.sequences]
    assert [event.token_ids for event in found] == sequences
    if case.width > 1:
        torch.testing.assert_close(torch.tensor([score(event, case) for event in found]), wanted.sequences_scores)


def test_searches_in_company_are_as_alone(model: tuple[Path, PreTrainedModel]) -> None:
    folder, _ = model
    adds = [search(case, f"r{i}", prompt(5 + 9 * i, seed=i)) for i, case in enumerate(CASES[:6])]
    together = run(engine(folder), adds)
    for add in adds:
        alone = run(engine(folder), [add])[add.request_id]
        assert [event.token_ids for event in alone] == [event.token_ids for event in together[add.request_id]]
