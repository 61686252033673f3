"""Models whose packed weights come from the cache: the same bits, and never those of another model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from portico.config.engine import EngineConfig
from portico.errors import CheckpointError
from portico.kernels.native import INSTRUCTION_SETS, load_native
from portico.protocol.messages import Loaded
from portico.run.build import build_runner
from tests.run.logits import BLOCK, prefill
from tests.run.test_exactness import prompt
from tests.tiny_models import make_tiny_model


def load(folder: Path, cache: Path, **others: Any) -> tuple[Tensor, Loaded]:
    """Logits of a prompt, and what the start told."""
    wishes = {"quantization": "int4", "dtype": "bfloat16"} | others
    config = EngineConfig(
        model_path=str(folder),
        block_size=BLOCK,
        kv_cache_memory=64 * 2**20,
        threads=1,
        weights_cache=str(cache),
        **wishes,
    )
    runner, loaded = build_runner(config)
    return prefill(runner, prompt(50)), loaded


def mapped(loaded: Loaded) -> bool:
    return "from the cache" in loaded.weights


def make(folder: Path, model: str) -> Path:
    make_tiny_model(model, folder, max_shard_size="20KB")
    return folder


@pytest.mark.parametrize("model", ["qwen3", "qwen3-biased-tied"])
@pytest.mark.parametrize("quantization", ["int8", "int4"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_logits_have_the_same_bits_with_the_cache(tmp_path: Path, model: str, quantization: str, dtype: str) -> None:
    folder, cache = make(tmp_path / "model", model), tmp_path / "cache"
    wishes = {"quantization": quantization, "dtype": dtype}
    without, first, second = (
        load(folder, tmp_path / "unused", **wishes, weights_cache_size=0),
        load(folder, cache, **wishes),
        load(folder, cache, **wishes),
    )
    assert [mapped(loaded) for _, loaded in (without, first, second)] == [False, False, True]
    assert torch.equal(first[0], without[0])
    assert torch.equal(second[0], without[0])


def test_formats_dtypes_and_instruction_sets_are_apart(tmp_path: Path) -> None:
    folder, cache = make(tmp_path / "model", "qwen3"), tmp_path / "cache"
    # The best comes last: which one was asked for last is in use where none is asked for.
    sets = [name for name in reversed(INSTRUCTION_SETS) if load_native(torch.float32, name)]
    wishes = [{"quantization": "int8"}, {"dtype": "float32"}, *({"kernels": name} for name in sets)]
    first = [load(folder, cache, **wish) for wish in wishes]
    again = [load(folder, cache, **wish) for wish in wishes]
    assert not any(mapped(loaded) for _, loaded in first)
    assert all(mapped(loaded) for _, loaded in again)
    assert all(torch.equal(one, two) for (one, _), (two, _) in zip(first, again, strict=True))


@pytest.mark.parametrize("quantization", ["none", "auto"])
def test_unquantised_weights_are_not_kept(tmp_path: Path, quantization: str) -> None:
    load(make(tmp_path / "model", "qwen3"), tmp_path / "cache", quantization=quantization)
    assert not (tmp_path / "cache").exists()


def test_a_checkpoint_that_changed_is_packed_again(tmp_path: Path) -> None:
    folder, cache = make(tmp_path / "model", "qwen3"), tmp_path / "cache"
    before, _ = load(folder, cache)
    for file in folder.glob("*.safetensors"):  # the same size, header and time of change, but other weights
        status, content = file.stat(), bytearray(file.read_bytes())
        numbers = [bytes(content[at : at + 4]) for at in range(len(content) - 400, len(content), 4)]
        content[-400:] = b"".join(reversed(numbers))
        file.write_bytes(content)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    after, loaded = load(folder, cache)
    assert not mapped(loaded)
    assert not torch.equal(before, after)
    assert len(list(cache.iterdir())) == 1


def test_a_model_at_another_place_has_a_file_of_its_own(tmp_path: Path) -> None:
    make(tmp_path / "a" / "model", "qwen3")
    make(tmp_path / "b" / "model", "qwen3")
    assert not any(mapped(load(tmp_path / name / "model", tmp_path / "cache")[1]) for name in "ab")
    assert all(mapped(load(tmp_path / name / "model", tmp_path / "cache")[1]) for name in "ab")


def test_a_checkpoint_is_checked_with_the_cache_too(tmp_path: Path) -> None:
    folder, cache = make(tmp_path / "model", "qwen3"), tmp_path / "cache"
    load(folder, cache)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}))
    with pytest.raises(CheckpointError, match=r"gate_proj.*config.json makes it \[64, 32\]"):
        load(folder, cache)
    shorter = {"num_hidden_layers": 1, "layer_types": config["layer_types"][:1]}
    (folder / "config.json").write_text(json.dumps(config | shorter))
    with pytest.raises(CheckpointError, match="has no place"):
        load(folder, cache)


def test_a_checkpoint_that_is_refused_half_way_leaves_nothing(tmp_path: Path) -> None:
    folder, cache = tmp_path / "model", tmp_path / "cache"
    make_tiny_model("qwen3", folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.down_proj.weight"][3, 3] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"down_proj\.weight holds NaN"):
        load(folder, cache)
    assert list(cache.iterdir()) == []
