"""Vectors of texts against `transformers` on random weights, however the text is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from portico.engine.engine import Engine
from portico.engine.scheduler import Limits
from portico.protocol.messages import Add
from portico.protocol.sampling import Pooling, TokenParams
from tests.run.logits import BLOCK, load
from tests.run.test_exactness import prompt
from tests.tiny_models import make_tiny_model

Kind = Literal["last", "mean", "first"]


@pytest.fixture(scope="module", params=["qwen3-biased-tied", "llama"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PreTrainedModel]:
    folder = tmp_path_factory.mktemp(request.param)
    return folder, make_tiny_model(request.param, folder)


def engine(folder: Path, *, chunk: int = 64) -> Engine:
    return Engine(load(folder), Limits(128, 16, chunk, chunk), num_blocks=320, block_size=BLOCK)


def vectors(engine: Engine, prompts: list[list[int]], pooling: Pooling) -> list[list[float]]:
    for number, prompt_ids in enumerate(prompts):
        engine.add(Add(str(number), prompt_ids, TokenParams(max_tokens=0, seed=0, pooling=pooling)))
    found: dict[str, Any] = {}
    while engine.has_work:
        found |= {event.request_id: event.embedding for event in engine.step().events}
        engine.check()
    return [found[str(number)] for number in range(len(prompts))]


def oracle(model: PreTrainedModel, prompt_ids: list[int], kind: Kind) -> torch.Tensor:
    with torch.inference_mode():
        hidden = model.base_model(torch.tensor([prompt_ids])).last_hidden_state[0]
    return {"last": hidden[-1], "first": hidden[0], "mean": hidden.mean(dim=0)}[kind]


@pytest.mark.parametrize("kind", ["last", "mean", "first"])
@pytest.mark.parametrize("chunk", [16, 64])
def test_vectors_are_the_oracles(model: tuple[Path, PreTrainedModel], kind: Kind, chunk: int) -> None:
    folder, reference = model
    prompts = [prompt(length, seed=length) for length in (1, 5, 40, 100)]
    found = vectors(engine(folder, chunk=chunk), prompts, Pooling(kind, normalize=False))
    for prompt_ids, vector in zip(prompts, found, strict=True):
        torch.testing.assert_close(torch.tensor(vector), oracle(reference, prompt_ids, kind), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["last", "mean", "first"])
def test_a_known_prefix_changes_nothing(model: tuple[Path, PreTrainedModel], kind: Kind) -> None:
    folder, _ = model
    shared = engine(folder)
    pooling = Pooling(kind, normalize=True)
    first = vectors(shared, [prompt(50)], pooling)
    again = vectors(shared, [prompt(50)], pooling)
    torch.testing.assert_close(torch.tensor(first), torch.tensor(again))


def test_fewer_dimensions_have_length_one_again(model: tuple[Path, PreTrainedModel]) -> None:
    folder, reference = model
    (found,) = vectors(engine(folder), [prompt(9)], Pooling("last", normalize=True, dimensions=7))
    wanted = oracle(reference, prompt(9), "last")[:7]
    torch.testing.assert_close(torch.tensor(found), wanted / wanted.norm(), rtol=1e-4, atol=1e-4)


def test_a_checkpoint_without_a_head(tmp_path: Path) -> None:
    whole, bare = tmp_path / "whole", tmp_path / "bare"
    make_tiny_model("qwen3-biased-tied", whole)
    bare.mkdir()
    (bare / "config.json").write_bytes((whole / "config.json").read_bytes())
    tensors = load_file(whole / "model.safetensors")
    save_file({name.removeprefix("model."): tensor for name, tensor in tensors.items()}, bare / "model.safetensors")
    pooling = Pooling("last", normalize=True)
    assert vectors(engine(bare), [prompt(9)], pooling) == vectors(engine(whole), [prompt(9)], pooling)
