"""How long sequences may get and how many blocks there are, by every measure that can be given."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from portico.config.engine import EngineConfig
from portico.demo import demo_folder
from portico.errors import ConfigError
from portico.model.cache import bytes_per_block
from portico.model.config import read_config
from portico.run import limits
from portico.run.limits import CacheSize, size_cache, wanted_model_len
from portico.run.machine import total_memory

MODEL = read_config(demo_folder())
CPU = torch.device("cpu")
BLOCK = 16
PER_BLOCK = bytes_per_block(MODEL, BLOCK, torch.float32)
FULL = math.ceil(MODEL.default_model_len / BLOCK)
FREE, TOTAL = 1000 * PER_BLOCK, 1600 * PER_BLOCK


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "available_memory", lambda: FREE)
    monkeypatch.setattr(limits, "total_memory", lambda: TOTAL)


def size(**asked: Any) -> CacheSize:
    config = EngineConfig(model_path="m", block_size=BLOCK, **asked)
    return size_cache(config, MODEL, wanted_model_len(config, MODEL), torch.float32, CPU)


def test_shares_of_the_memory() -> None:
    assert size().num_blocks == 400 - 1
    assert size(kv_cache_share=0.5).num_blocks == 500 - 1
    assert size(memory_share=0.75).num_blocks == 1200 - 600 - 1
    assert size(kv_cache_memory=300 * PER_BLOCK).num_blocks == 300 - 1


@pytest.mark.parametrize(
    ("measure", "word"), [("kv_cache_share", "cache_max_entry_count"), ("memory_share", "gpu_mem")]
)
def test_a_share_that_is_too_small_is_named(measure: str, word: str) -> None:
    with pytest.raises(ConfigError, match=f"lower max_model_len or raise {word}"):
        size(max_model_len=MODEL.max_model_len, **{measure: 0.01 if measure == "kv_cache_share" else 0.4})


def test_a_number_of_tokens() -> None:
    assert size(kv_cache_tokens=5000) == CacheSize(MODEL.default_model_len, math.ceil(5000 / BLOCK))
    assert size(kv_cache_tokens=100) == CacheSize(100, 7)
    assert size(kv_cache_tokens=100, max_model_len=200) == CacheSize(100, 7)
    assert size(kv_cache_tokens=10**9).num_blocks == 399


def test_one_context_and_its_length() -> None:
    assert size(one_context=True, max_num_seqs=4) == CacheSize(MODEL.default_model_len, FULL)
    assert size(one_context=True, longest_context=64) == CacheSize(64, 4)
    assert size(one_context=True, longest_context=64, max_model_len=128) == CacheSize(128, 8)
    assert size(one_context=True, longest_context=10**6).max_model_len == MODEL.default_model_len


def test_this_machine_has_memory() -> None:
    assert 0 < total_memory() < 1 << 60
