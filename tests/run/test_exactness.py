"""Against `transformers` on random weights of every family, and against itself in every company."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import PreTrainedModel

from portico.config.engine import EngineConfig, KVDtypeName
from portico.engine.engine import Engine
from portico.engine.plan import Row
from portico.engine.scheduler import Limits
from portico.protocol.messages import Add
from portico.protocol.sampling import TokenParams
from portico.run.build import build_runner
from portico.run.runner import TorchRunner
from tests.run.logits import BLOCK, blocks_for, forward, load, prefill
from tests.tiny_models import TINY_MODELS, VOCAB, make_tiny_model

Loaded = tuple[Path, PreTrainedModel, TorchRunner]


@pytest.fixture(scope="module", params=sorted(TINY_MODELS))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    folder = tmp_path_factory.mktemp(request.param)
    oracle = make_tiny_model(request.param, folder)
    return folder, oracle, load(folder)


def prompt(length: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCAB, (length,), generator=generator).tolist()


def oracle_logits(oracle: PreTrainedModel, ids: list[int]) -> Tensor:
    with torch.inference_mode():
        return oracle(torch.tensor([ids])).logits[0].float()


def relative(got: Tensor, want: Tensor) -> float:
    return float((got - want).abs().max() / want.abs().max())


@pytest.mark.parametrize("length", [1, 3, 50, 120])
def test_logits_are_the_oracles(model: Loaded, length: int) -> None:
    _, oracle, runner = model
    ids = prompt(length)
    assert relative(prefill(runner, ids), oracle_logits(oracle, ids)) < 1e-4


def test_the_plain_twins_say_the_same(model: Loaded) -> None:
    folder, _, runner = model
    ids = prompt(60)
    assert relative(prefill(load(folder, kernels="torch"), ids), prefill(runner, ids)) < 1e-5


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 69), max_size=8))
def test_any_chunking_is_as_one(model: Loaded, cuts: list[int]) -> None:
    _, _, runner = model
    ids = prompt(70, seed=1)
    assert relative(prefill(runner, ids, cuts), prefill(runner, ids)) < 1e-5


def test_strangers_in_the_batch_change_nothing(model: Loaded) -> None:
    _, _, runner = model
    lengths = [1, 17, 40, 5, 33, 62]
    prompts = [prompt(length, seed=length) for length in lengths]
    for number, ids in enumerate(prompts):
        prefill(runner, ids[:-1], number=number)
    rows = [Row(n, ids[-1:], len(ids) - 1, blocks_for(n, 64), None) for n, ids in enumerate(prompts)]
    rows.insert(2, Row(9, prompt(13, seed=9), 0, blocks_for(9, 13), None))
    together = forward(runner, rows)
    for row, logits in zip(rows, together, strict=True):
        alone = forward(runner, [row])[0]
        assert relative(logits, alone) < 1e-5


def test_bfloat16_is_within_the_oracles_own_rounding(model: Loaded) -> None:
    folder, oracle, _ = model
    ids = prompt(60)
    exact = oracle_logits(oracle, ids)
    theirs = oracle_logits(type(oracle).from_pretrained(folder, dtype=torch.bfloat16).eval(), ids)  # type: ignore[attr-defined]
    for kernels in ("auto", "torch"):
        ours = prefill(load(folder, "bfloat16", kernels), ids)
        assert (ours - exact).square().mean() < 1.5 * (theirs - exact).square().mean()


class Served:
    """A whole engine over a model; each call runs its requests to their ends, all at once."""

    def __init__(self, folder: Path, *, num_blocks: int = 1200, kv: KVDtypeName = "auto") -> None:
        config = EngineConfig(
            model_path=str(folder),
            dtype="float32",
            max_model_len=128,
            block_size=BLOCK,
            kv_cache_memory=2**26,
            threads=1,
            kv_cache_dtype=kv,
        )
        runner, loaded = build_runner(config)
        self.engine = Engine(runner, Limits(loaded.max_model_len, 40, 64, 24), num_blocks=num_blocks, block_size=BLOCK)

    def __call__(self, *adds: Add) -> dict[tuple[str, int], list[int]]:
        tokens: dict[tuple[str, int], list[int]] = {}
        for add in adds:
            self.engine.add(add)
        while self.engine.has_work:
            for event in self.engine.step().events:
                assert event.finish != "error"
                tokens.setdefault((event.request_id, event.choice), []).extend(event.token_ids)
        self.engine.check()
        return tokens


def assert_same_or_tie(oracle: PreTrainedModel, ids: list[int], one: list[int], other: list[int]) -> None:
    """Two greedy continuations must agree up to the first place where the oracle's two best are within rounding."""
    if one == other:
        return
    parting = next(i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
    best = oracle_logits(oracle, ids + one[:parting])[-1].topk(2).values
    assert float(best[0] - best[1]) < 1e-5 * float(best[0].abs()), "they part where there is no tie"


def greedy(name: str, ids: list[int], new: int = 16) -> Add:
    return Add(name, ids, TokenParams(max_tokens=new, seed=0, temperature=0.0))


def test_greedy_tokens_are_the_same_in_every_company(model: Loaded) -> None:
    folder, oracle, runner = model
    ids = prompt(21, seed=5)
    mine = greedy("me", ids)
    strangers = [greedy(f"s{n}", prompt(3 + 2 * n, seed=n), 12) for n in range(32)]
    served = Served(folder)
    alone = served(mine)["me", 0]
    cached = served(mine)["me", 0]
    assert served.engine.stats().cached_tokens == 16
    crowd = Served(folder)(*strangers[:16], mine, *strangers[16:])["me", 0]
    tight = Served(folder, num_blocks=8)
    squeezed = tight(*(greedy(f"s{n}", prompt(7, seed=n), 60) for n in range(3)), mine)["me", 0]
    assert tight.engine.stats().preemptions > 0
    best = oracle.generate(torch.tensor([ids]), max_new_tokens=16, do_sample=False, eos_token_id=None)[0, len(ids) :]
    for other in (best.tolist(), cached, crowd, squeezed):
        assert_same_or_tie(oracle, ids, alone, other)
    if runner.decoder.kernels.paged:  # the native kernels know no ties: their bits are the same in every company
        assert alone == cached == crowd == squeezed


def test_with_keys_of_eight_bits_a_request_says_the_same_in_every_company(tmp_path: Path) -> None:
    make_tiny_model("qwen3", tmp_path)
    ids = prompt(21, seed=5)
    params = TokenParams(max_tokens=40, seed=0, temperature=1.0, logprobs=0)
    mine = Add("me", ids, params)
    strangers = [greedy(f"s{n}", prompt(3 + 2 * n, seed=n), 12) for n in range(32)]
    served = Served(tmp_path, kv="int8")
    if not load(tmp_path).decoder.kernels.paged:
        pytest.skip("the native kernels were not built here")
    alone, again = served(mine), served(mine)
    assert served.engine.stats().cached_tokens == 16
    crowd = Served(tmp_path, kv="int8")(*strangers[:16], mine, *strangers[16:])
    tight = Served(tmp_path, num_blocks=8, kv="int8")
    squeezed = tight(*(greedy(f"s{n}", prompt(7, seed=n), 60) for n in range(3)), mine)
    assert tight.engine.stats().preemptions > 0
    assert alone["me", 0] == again["me", 0] == crowd["me", 0] == squeezed["me", 0]
    assert Served(tmp_path)(mine)["me", 0] != alone["me", 0]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kernels", ["auto", "torch"])
def test_keys_of_eight_bits_move_logits_little(tmp_path: Path, dtype: str, kernels: str) -> None:
    make_tiny_model("qwen3", tmp_path)
    ids = prompt(60)
    runner = load(tmp_path, dtype, kernels, kv="int8")
    assert runner.cache.pools[0].dtype is torch.int8
    got = prefill(runner, ids)
    assert 1e-4 < relative(got, prefill(load(tmp_path, dtype, kernels), ids)) < 0.03
    if runner.decoder.kernels.paged:
        for number, cuts in enumerate([(1,), (7, 8, 30), tuple(range(1, 60))]):
            assert torch.equal(prefill(runner, ids, cuts, number + 1), got)


def test_a_seed_says_the_same_in_every_company(model: Loaded) -> None:
    folder, _, _ = model
    wishes = TokenParams(max_tokens=12, seed=77, temperature=0.8, top_p=0.95, top_k=50)
    mine = Add("me", prompt(12, seed=2), wishes, 2)
    strangers = [Add(f"s{n}", prompt(9 + n), TokenParams(max_tokens=9, seed=n, temperature=1.0)) for n in range(9)]
    alone, crowd = Served(folder)(mine), Served(folder)(*strangers, mine)
    assert alone["me", 0] != alone["me", 1]
    for choice in (0, 1):
        assert crowd["me", choice] == alone["me", choice]


def test_logprobs_are_the_oracles(model: Loaded) -> None:
    folder, oracle, _ = model
    ids = prompt(20, seed=8)
    served = Served(folder)
    params = TokenParams(max_tokens=6, seed=3, temperature=1.0, logprobs=4, logit_bias=((7, 20.0),), min_tokens=2)
    served.engine.add(Add("one", ids, params))
    served.engine.add(greedy("other", prompt(9)))
    tokens, told = [], []
    while served.engine.has_work:
        for event in served.engine.step().events:
            if event.request_id == "one":
                assert event.logprobs is not None
                tokens += event.token_ids
                told += event.logprobs
            else:
                assert event.logprobs is None
    exact = oracle_logits(oracle, ids + tokens).log_softmax(-1)[len(ids) - 1 :]
    assert len(told) == 6
    for place, (token, logprobs) in enumerate(zip(tokens, told, strict=True)):
        assert logprobs.logprob == pytest.approx(float(exact[place, token]), abs=2e-3)
        assert logprobs.top == pytest.approx(exact[place].topk(4).values.tolist(), abs=2e-3)


def scores(served: Served, name: str, ids: list[int], **fields: Any) -> list[float]:
    """Log-probabilities of a prompt's tokens from the second on."""
    params = TokenParams(seed=0, temperature=0.0, prompt_logprobs=2, **fields)
    served.engine.add(Add(name, ids, params))
    told: list[float] = []
    while served.engine.has_work:
        for event in served.engine.step().events:
            assert event.finish != "error"
            if event.request_id == name and event.prompt_logprobs is not None:
                assert not told, "scores came twice"
                told = [entry.logprob for entry in event.prompt_logprobs]
    served.engine.check()
    return told


def test_prompt_logprobs_are_the_oracles_in_any_chunking_and_company(model: Loaded) -> None:
    folder, oracle, _ = model
    ids = prompt(90, seed=4)
    exact = oracle_logits(oracle, ids).log_softmax(-1)[:-1].gather(1, torch.tensor(ids[1:])[:, None]).flatten().tolist()
    served = Served(folder)
    served(greedy("warm", ids))
    for fields in ({"max_tokens": 0}, {"max_tokens": 3}):
        assert scores(served, "alone", ids, **fields) == pytest.approx(exact, abs=2e-3)
    tight = Served(folder, num_blocks=10)
    for n in range(3):
        tight.engine.add(greedy(f"s{n}", prompt(20, seed=n), 60))
    assert scores(tight, "among", ids, max_tokens=30) == pytest.approx(exact, abs=2e-3)
    assert tight.engine.stats().preemptions > 0
    assert scores(served, "short", ids[:1], max_tokens=2) == []
