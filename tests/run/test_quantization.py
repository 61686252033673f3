"""Models with weights of few bits: near to what they were, and the same bytes in every company."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor

from portico import LLM, SamplingParams
from portico.config.engine import DtypeName, EngineConfig
from portico.demo import demo_folder
from portico.errors import ConfigError
from portico.kernels import dispatch
from portico.run.build import build_runner
from portico.run.runner import TorchRunner
from portico.text.model import TextModel
from tests.run.logits import BLOCK, prefill
from tests.run.test_exactness import prompt
from tests.tiny_models import make_tiny_model

Quantization = Literal["none", "int8", "int4"]
FORMATS: list[Quantization] = ["none", "int8", "int4"]


def runner(folder: Path, quantization: Quantization, dtype: str = "bfloat16", kernels: str = "auto") -> TorchRunner:
    config = EngineConfig(
        model_path=str(folder),
        dtype=dtype,  # type: ignore[arg-type]
        block_size=BLOCK,
        kv_cache_memory=64 * 2**20,
        threads=1,
        kernels=kernels,
        quantization=quantization,
    )
    return build_runner(config)[0]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    make_tiny_model("qwen3", folder)
    return folder


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("quantization", FORMATS)
@pytest.mark.parametrize("cuts", [(1,), (7, 8, 30), tuple(range(1, 60))])
def test_logits_have_the_same_bits_in_any_chunking(
    tiny: Path, dtype: str, quantization: Quantization, cuts: tuple[int, ...]
) -> None:
    model = runner(tiny, quantization, dtype)
    assert torch.equal(prefill(model, prompt(60)), prefill(model, prompt(60), cuts, number=1))


def relative(got: Tensor, want: Tensor) -> float:
    return float((got - want).norm() / want.norm())


@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_the_twins_say_the_same(tiny: Path, quantization: Quantization) -> None:
    fast = prefill(runner(tiny, quantization, "float32"), prompt(50))
    plain = prefill(runner(tiny, quantization, "float32", "torch"), prompt(50))
    assert relative(fast, plain) < 0.01


@pytest.mark.parametrize(("quantization", "most"), [("int8", 0.03), ("int4", 0.25)])
def test_logits_stay_near(quantization: Quantization, most: float) -> None:
    text = TextModel.load(demo_folder())
    ids = text.tokenizer.encode("The capital of France is Paris. " * 4, add_special_tokens=False)
    whole, few = (prefill(runner(demo_folder(), q, "float32"), ids) for q in ("none", quantization))  # type: ignore[arg-type]
    assert 0 < relative(few, whole) < most


@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_the_bundled_model_still_answers(quantization: Quantization) -> None:
    llm = LLM(kv_cache_memory=1 << 26, threads=1, quantization=quantization)
    assert quantization in llm.loaded.kernels
    asked = [[{"role": "user", "content": f"What is the capital of {name}?"}] for name in ("France", "Japan", "Egypt")]
    answers = llm.chat(asked, SamplingParams(temperature=0), progress=False)
    assert [answer.text.split()[-1] for answer in answers] == ["Paris.", "Tokyo.", "Cairo."]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("quantization", FORMATS)
def test_the_same_bytes_alone_and_among_strangers(dtype: DtypeName, quantization: Quantization) -> None:
    llm = LLM(dtype=dtype, kv_cache_memory=1 << 27, threads=1, quantization=quantization)
    texts = [f"Tell me {n} things about {'xyz' * (n % 5)} and write a haiku." for n in range(40)]
    wishes = [SamplingParams(temperature=1.0, seed=n, max_tokens=30) for n in range(40)]
    together = llm.generate(texts, wishes, progress=False)
    for n in (0, 13, 39):
        fresh = LLM(dtype=dtype, kv_cache_memory=1 << 27, threads=1, quantization=quantization)
        (alone,) = fresh.generate([texts[n]], [wishes[n]], progress=False)
        assert alone.choices[0].token_ids == together[n].choices[0].token_ids


def test_where_it_cannot_run_it_says_so(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "load_native", lambda *_: None)
    with pytest.raises(ConfigError, match=r"int8.*float32 and bfloat16"):
        runner(tiny, "int8")
