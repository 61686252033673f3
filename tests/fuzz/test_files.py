"""Files of a model folder, cut or changed anywhere: read all the same, or refused in one line.

Offsets, lengths, counts and names in files that others wrote: CVE-2024-21802, CVE-2024-21825, CVE-2024-21836,
CVE-2024-23496, CVE-2024-23605, CVE-2024-32878, CVE-2024-41130, CVE-2025-49847, CVE-2025-52566, CVE-2025-53630,
CVE-2026-7482, CVE-2025-0312, CVE-2025-0315, CVE-2025-0317, CVE-2025-1975, CVE-2024-8063,
CVE-2024-39720, CVE-2024-39721.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from portico.errors import CheckpointError
from portico.model.config import read_config
from portico.text.defaults import SamplingDefaults
from portico.text.template import template_sources
from portico.text.tokenizer import Tokenizer
from portico.weights.files import read_json
from portico.weights.safetensors import Checkpoint
from portico.weights.tokenizers.read import read_tokenizer
from tests.fuzz.effort import some
from tests.text.folders import write_folder

TENSORS = save({"a": torch.zeros(4, 4), "b": torch.ones(3, dtype=torch.float16)})
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 199, "hidden_size": 32,
    "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 128, "rms_norm_eps": 1e-6, "rope_theta": 1e4,
    "rope_scaling": {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                     "original_max_position_embeddings": 32},
}  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([0, -1, 10**30]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def changed(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes, cut off somewhere and with some others in some places."""
    made = bytearray(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)
    for _ in range(draw(st.integers(0, 8))):
        if made:
            made[draw(st.integers(0, min(len(made) - 1, 400)))] = draw(st.integers(0, 255))
    return bytes(made)


def problem(work: Callable[[], object]) -> str:
    """What is wrong by the one error that it may be; "" if nothing is."""
    try:
        work()
    except CheckpointError as error:
        return str(error)
    return ""


def read_all(folder: Path) -> None:
    checkpoint = Checkpoint(folder)
    for name, shape in (("a", (4, 4)), ("b", (3,))):
        if name in checkpoint:
            checkpoint.get(name, shape).sum()


@some
@given(data=changed(TENSORS))
def test_tensors(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(data)
    assert "\n" not in problem(lambda: read_all(tmp_path))


@pytest.mark.parametrize("offsets", [[0, 2**40], [-1, 64], [64, 0], [0, 63], [2**63, 2**64 - 1]])
@pytest.mark.parametrize("shape", [[4, 4], [2**32, 2**32], [0], [-1]])
def test_tensors_that_would_lie_beyond_the_file(offsets: list[int], shape: list[int], tmp_path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 64)
    with pytest.raises(CheckpointError):
        read_all(tmp_path)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 10**9, 0])
def test_a_header_that_would_be_longer_than_the_file(length: int, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", length) + TENSORS[8:])
    with pytest.raises(CheckpointError):
        Checkpoint(tmp_path)


def test_an_index_cannot_name_files_outside_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "secret.safetensors").write_bytes(TENSORS)
    for name in ("../secret.safetensors", str(tmp_path / "secret.safetensors")):
        index = json.dumps({"weight_map": {"a": name}})
        (tmp_path / "model" / "model.safetensors.index.json").write_text(index, encoding="utf-8")
        with pytest.raises(CheckpointError, match="outside"):
            Checkpoint(tmp_path / "model")


@some
@given(change=st.dictionaries(st.sampled_from(sorted(CONFIG)), values, max_size=3), cut=st.data())
def test_config(change: dict[str, Any], cut: st.DataObject, tmp_path: Path) -> None:
    data = json.dumps(CONFIG | change).encode()
    (tmp_path / "config.json").write_bytes(cut.draw(changed(data)) if cut.draw(st.booleans()) else data)
    assert "\n" not in problem(lambda: read_config(tmp_path))


@some
@given(
    change=st.dictionaries(st.sampled_from(["eos_token_id", "temperature", "top_k", "top_p", "x"]), values, max_size=3)
)
def test_generation_config(change: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps(change), encoding="utf-8")
    assert "\n" not in problem(lambda: SamplingDefaults.choose("auto", tmp_path))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("model"))


@some
@given(data=st.data())
def test_tokenizer(data: st.DataObject, model: Path, tmp_path: Path) -> None:
    for file in model.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    name = data.draw(st.sampled_from(["tokenizer.json", "tokenizer_config.json"]))
    whole = (model / name).read_bytes()
    if data.draw(st.booleans()):
        fields = json.loads(whole)
        fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(values)
        whole = json.dumps(fields).encode()
    (tmp_path / name).write_bytes(data.draw(changed(whole)) if data.draw(st.booleans()) else whole)
    try:
        Tokenizer.load(tmp_path).encode("Hello <|im_end|>", add_special_tokens=True)
        template_sources(tmp_path)
    except CheckpointError:
        pass


@some
@given(data=st.binary(max_size=200))
def test_trained_tokenizers(data: bytes, tmp_path: Path) -> None:
    for name in ("tokenizer.model", "qwen.tiktoken"):
        (tmp_path / name).write_bytes(data)
        with contextlib.suppress(CheckpointError):
            read_tokenizer(tmp_path)
        (tmp_path / name).unlink()


def test_added_tokens_far_behind_the_vocabulary_take_no_memory(tmp_path: Path) -> None:
    (tmp_path / "qwen.tiktoken").write_bytes(
        b"\n".join(b"%s %d" % (base64.b64encode(bytes([byte])), byte) for byte in range(256))
    )
    decoder = {"4000000000": {"content": "<far>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="4000000000"):
        read_tokenizer(tmp_path)


@pytest.mark.parametrize(
    "data", [b"\xff", b'{"a": "\xff"}', b"[" * 100_000, b'{"a":' * 100_000, b"[]", b"", b'{"a": "\\ud800"}']
)
def test_json_files(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(data)
    with pytest.raises(CheckpointError):
        read_json(tmp_path / "config.json")
