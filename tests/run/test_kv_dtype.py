"""What keys and values are kept in: what there is, what it takes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from portico import LLM, SamplingParams
from portico.config.engine import EngineConfig, KVDtypeName
from portico.errors import ConfigError
from portico.model.cache import bytes_per_block, make_cache
from portico.model.config import read_config
from portico.protocol.messages import Loaded
from portico.run.build import build_runner
from portico.run.device import resolve_kv_dtype
from tests.tiny_models import make_tiny_model

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    make_tiny_model("qwen3", folder)
    return folder


def loaded(folder: Path, kv_cache_dtype: KVDtypeName) -> Loaded:
    config = EngineConfig(
        model_path=str(folder), dtype="bfloat16", kv_cache_memory=1 << 20, threads=1, kv_cache_dtype=kv_cache_dtype
    )
    return build_runner(config)[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
def test_a_block_is_counted_as_it_is(tiny: Path, dtype: torch.dtype) -> None:
    model = read_config(tiny)
    pools = make_cache(model, 3, 16, dtype, CPU).pools
    assert sum(pool.nbytes for pool in pools) == 3 * bytes_per_block(model, 16, dtype)
    exact = 2 * model.num_layers * model.num_kv_heads * 16
    wide = model.head_dim + 4 if dtype is torch.int8 else model.head_dim * dtype.itemsize
    assert bytes_per_block(model, 16, dtype) == exact * wide


def test_the_same_memory_holds_more_tokens(tiny: Path) -> None:
    whole, few = loaded(tiny, "auto"), loaded(tiny, "int8")
    assert (whole.kv_cache_dtype, few.kv_cache_dtype) == ("bfloat16", "int8")
    width = read_config(tiny).head_dim
    assert (few.num_blocks + 1) / (whole.num_blocks + 1) == pytest.approx(2 * width / (width + 4), rel=0.01)


def test_the_name_of_the_dtype_of_the_computation_is_that(tiny: Path) -> None:
    assert loaded(tiny, "bfloat16").kv_cache_dtype == "bfloat16"


@pytest.mark.parametrize("name", ["float32", "float16", "fp8", "fp8_e4m3", "int4"])
def test_what_there_is_not_is_refused_with_what_there_is(name: KVDtypeName) -> None:
    with pytest.raises(ConfigError, match=rf"{name};.*bfloat16.*auto.*int8"):
        resolve_kv_dtype(name, torch.bfloat16)


def test_the_bundled_model_still_answers() -> None:
    llm = LLM(kv_cache_memory=1 << 26, threads=1, kv_cache_dtype="int8")
    asked = [[{"role": "user", "content": f"What is the capital of {name}?"}] for name in ("France", "Japan", "Egypt")]
    answers = llm.chat(asked, SamplingParams(temperature=0), progress=False)
    assert [answer.text.split()[-1] for answer in answers] == ["Paris.", "Tokyo.", "Cairo."]
