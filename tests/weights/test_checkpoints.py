"""Checkpoints as they come, and as they come broken: each defect is one error that names the file and the tensor."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from portico.errors import CheckpointError, ConfigError
from tests.run.logits import load, prefill
from tests.tiny_models import make_tiny_model

IDS = [5, 9, 13, 4, 77]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("save", [{}, {"max_shard_size": "20KB"}])
def test_single_and_sharded_in_every_dtype(tmp_path: Path, dtype: torch.dtype, save: dict[str, Any]) -> None:
    make_tiny_model("qwen3", tmp_path, dtype=dtype, **save)
    oracle = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    assert len(list(tmp_path.glob("*.safetensors"))) == (1 if not save else len(list(tmp_path.glob("model-*"))))
    with torch.inference_mode():
        want = oracle(torch.tensor([IDS])).logits[0]
    assert torch.allclose(prefill(load(tmp_path), IDS), want, rtol=1e-4, atol=1e-4)


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


NORM = "model.layers.1.post_attention_layernorm.weight"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop(NORM), NORM),
        (lambda t: t.update({"model.layers.0.extra.weight": torch.ones(1)}), "model.layers.0.extra.weight"),
        (lambda t: t.update({NORM: torch.ones(3)}), NORM),
        (lambda t: t.update({NORM: torch.ones(32, dtype=torch.int32)}), "I32"),
    ],
)
def test_missing_leftover_and_misshapen_tensors_are_named(
    tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], Any], words: str
) -> None:
    make_tiny_model("llama", tmp_path)
    rewrite(tmp_path, change)
    with pytest.raises(CheckpointError, match=words):
        load(tmp_path)


NUMBERS = {"nan": float("nan"), "infinity": float("inf"), "minus infinity": -float("inf")}


@pytest.mark.parametrize(
    "name", [NORM, "model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "lm_head.weight"]
)
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("quantization", ["none", "int8"])
def test_what_is_no_number_is_found_and_named(tmp_path: Path, name: str, number: str, quantization: str) -> None:
    make_tiny_model("llama", tmp_path)
    rewrite(tmp_path, lambda t: t[name].view(-1)[17:18].fill_(NUMBERS[number]))
    with pytest.raises(CheckpointError, match=rf"model\.safetensors: tensor {name} holds NaN or infinity"):
        load(tmp_path, quantization=quantization)


def test_large_numbers_are_numbers(tmp_path: Path) -> None:
    make_tiny_model("llama", tmp_path)
    rewrite(tmp_path, lambda t: t[NORM].fill_(3e38))  # their sum is none
    load(tmp_path)
    rewrite(tmp_path, lambda t: t.update({NORM: torch.full((32,), 1e300, dtype=torch.float64)}))
    with pytest.raises(CheckpointError, match=f"{NORM} holds NaN or infinity .as float32.*another --dtype"):
        load(tmp_path)


def test_harmless_leftovers_are_no_error(tmp_path: Path) -> None:
    make_tiny_model("llama-tied", tmp_path)

    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
        tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)

    rewrite(tmp_path, change)
    load(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    make_tiny_model("llama", tmp_path, max_shard_size="20KB")
    shard = sorted(tmp_path.glob("model-*"))[1]
    shard.unlink()
    with pytest.raises(CheckpointError, match=shard.name):
        load(tmp_path)


@pytest.mark.parametrize("length", [0, 4, 100, 2000, 40_000])
def test_a_truncated_file_is_named(tmp_path: Path, length: int) -> None:
    make_tiny_model("llama", tmp_path)
    os.truncate(tmp_path / "model.safetensors", length)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load(tmp_path)


@pytest.mark.parametrize(
    "garbage", [b"", b"\xff" * 200, (2**62).to_bytes(8, "little") + b"{}", b"\x02" + b"\0" * 7 + b"[]"]
)
def test_garbage_is_an_error_and_no_crash(tmp_path: Path, garbage: bytes) -> None:
    make_tiny_model("llama", tmp_path)
    (tmp_path / "model.safetensors").write_bytes(garbage)
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "GPT2LMHeadModel"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"rope_parameters": None, "rope_scaling": {"type": "su", "factor": 2}}, "su"),
        ({"num_attention_heads": "many"}, "num_attention_heads"),
        ({"num_key_value_heads": 3}, "num_key_value_heads"),
        ({"hidden_size": None}, "hidden_size"),
    ],
)
def test_a_config_that_cannot_be_run_is_refused_by_its_key(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    make_tiny_model("llama", tmp_path)
    file = tmp_path / "config.json"
    raw = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in raw.items() if value is not None}))
    with pytest.raises(CheckpointError, match=words):
        load(tmp_path)


def test_a_length_beyond_the_model_or_the_memory_is_refused_with_both_numbers(tmp_path: Path) -> None:
    from portico.config.engine import EngineConfig
    from portico.run.build import build_runner

    make_tiny_model("llama", tmp_path)
    with pytest.raises(ConfigError, match=r"129.*128"):
        build_runner(EngineConfig(model_path=str(tmp_path), max_model_len=129))
    with pytest.raises(ConfigError, match=r"keys and values of 128 tokens .* kB.*--kv-cache-memory is 20.0 kB"):
        build_runner(EngineConfig(model_path=str(tmp_path), max_model_len=128, kv_cache_memory=20_000))
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"max_position_embeddings": 4096}))
    _, loaded = build_runner(EngineConfig(model_path=str(tmp_path), kv_cache_memory=100_000))
    assert 256 <= loaded.max_model_len < 4096
