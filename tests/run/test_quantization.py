"""Models with weights of few bits: near to what they were, and the same bytes in every company."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.checkpoint import CONFIG
from portico import LLM, SamplingParams
from portico.config.engine import DtypeName, EngineConfig
from portico.demo import demo_folder
from portico.errors import ConfigError
from portico.kernels import dispatch
from portico.kernels.quantized import rows_int8_torch
from portico.model.config import ModelConfig, read_config
from portico.run import quantization as quantization_choice
from portico.run.build import build_runner
from portico.run.device import DTYPES
from portico.run.quantization import weight_bytes
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


GB = 10**9
BIG = {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "vocab_size": 151936,
       "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "tie_word_embeddings": False}  # fmt: skip


def big_model(folder: Path) -> ModelConfig:
    """The configuration of Qwen3-8B, 8.19 billion weights."""
    (folder / "config.json").write_text(json.dumps(CONFIG | BIG))
    return read_config(folder)


def test_the_size_of_weights_is_known_before_they_are_loaded(tmp_path: Path) -> None:
    model = big_model(tmp_path)
    tables = 2 * 151936 * 4096
    assert weight_bytes(model, "none", torch.bfloat16) == pytest.approx(2 * (8.19e9 - tables / 2), rel=0.01)
    assert weight_bytes(model, "none", torch.float32) == pytest.approx(4 * 8.19e9, rel=0.01)
    assert weight_bytes(model, "int8", torch.bfloat16) == pytest.approx(8.19e9 * (1 + 1 / 32), rel=0.01)
    body = 8.19e9 - tables
    assert weight_bytes(model, "int4", torch.bfloat16) == pytest.approx(body * 0.5625 + tables * (1 + 1 / 32), rel=0.01)


@pytest.mark.parametrize(
    ("memory", "dtype", "chosen"),
    [
        (64 * GB, "bfloat16", "none"),
        (20 * GB, "bfloat16", "none"),
        (18 * GB, "bfloat16", "int8"),
        (64 * GB, "float32", "none"),
        (30 * GB, "float32", "int8"),
        (10 * GB, "bfloat16", "int4"),
        (1 * GB, "bfloat16", "int4"),
    ],
)
def test_auto_takes_few_bits_only_where_the_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int, dtype: str, chosen: str
) -> None:
    monkeypatch.setattr(quantization_choice, "available_memory", lambda: memory)
    config, device = EngineConfig(model_path=str(tmp_path)), torch.device("cpu")
    got, why = quantization_choice.choose_quantization(config, big_model(tmp_path), device, DTYPES[dtype])
    assert got == chosen
    assert why.startswith("auto: ")
    assert (f"available are {memory / GB:.2f} GB" in why) == (chosen != "none")


@pytest.mark.parametrize("asked", ["none", "int8", "int4"])
def test_what_is_asked_for_is_taken_whatever_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Quantization
) -> None:
    monkeypatch.setattr(quantization_choice, "available_memory", lambda: 1)
    config = EngineConfig(model_path=str(tmp_path), quantization=asked)
    got = quantization_choice.choose_quantization(config, big_model(tmp_path), torch.device("cpu"), torch.bfloat16)
    assert got == (asked, "as asked")


@pytest.mark.parametrize("kernels", ["auto", "torch"])
def test_auto_keeps_off_what_cannot_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernels: str) -> None:
    monkeypatch.setattr(quantization_choice, "available_memory", lambda: 1)
    config = EngineConfig(model_path=str(tmp_path), kernels=kernels)
    device = torch.device("cpu" if kernels == "torch" else "cuda")
    got = quantization_choice.choose_quantization(config, big_model(tmp_path), device, torch.bfloat16)
    assert got == ("none", "auto: nothing else runs here")


@pytest.mark.parametrize("model", ["qwen3", "qwen3-biased-tied"])
def test_the_embedding_has_the_bits_of_the_head(tmp_path: Path, model: str) -> None:
    make_tiny_model(model, tmp_path)
    table = load_file(tmp_path / "model.safetensors")["model.embed_tokens.weight"]
    ids = torch.arange(len(table))
    whole, few = (runner(tmp_path, name, "float32").decoder.embedding(ids) for name in ("none", "int4"))
    assert torch.equal(whole, table)
    torch.testing.assert_close(few, rows_int8_torch(table)(ids), rtol=1e-6, atol=0.0)


@pytest.mark.parametrize(
    ("quantization", "shown"), [("none", "bfloat16 (as asked)"), ("auto", "bfloat16 (auto: the memory holds them so)")]
)
def test_the_start_says_how_weights_are_kept(tiny: Path, quantization: Quantization, shown: str) -> None:
    config = EngineConfig(model_path=str(tiny), dtype="bfloat16", kv_cache_memory=1 << 24, quantization=quantization)
    assert build_runner(config)[1].weights == shown
