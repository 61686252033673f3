"""What a model needs in memory, and what is said where there is too little of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from portico.config.engine import EngineConfig
from portico.demo import demo_folder
from portico.errors import ConfigError
from portico.model.config import read_config
from portico.run import limits
from portico.run.limits import size_cache, wanted_model_len
from portico.run.needs import LEAST_TOKENS, Case, require_memory

MODEL = read_config(demo_folder())
CPU = torch.device("cpu")
Limit = Callable[[int], None]


@pytest.fixture
def available(monkeypatch: pytest.MonkeyPatch) -> Limit:
    def limit(amount: int) -> None:
        monkeypatch.setattr(limits, "available_memory", lambda: amount)
        monkeypatch.setattr(limits, "total_memory", lambda: 2 * amount)

    return limit


def case(**asked: Any) -> Case:
    config = EngineConfig(model_path="m", **asked)
    return Case(config, MODEL, CPU, torch.float32, wanted_model_len(config, MODEL), 1024)


def fixed(**asked: Any) -> int:
    return case(**asked).needs("none", torch.float32).fixed


def test_enough_is_enough(available: Limit) -> None:
    available(10**9)
    require_memory(case(), "none", torch.float32)
    require_memory(case(max_model_len=4096), "none", torch.float32)


def test_weights_that_do_not_fit_name_the_format_that_does(available: Limit) -> None:
    available(fixed() - 10**6)
    with pytest.raises(ConfigError, match=r"too little memory: weights take 26\.2 MB \(float32\).*available") as caught:
        require_memory(case(), "none", torch.float32)
    assert "--quantization int8 (weights 6.8 MB)" in str(caught.value)
    assert "\n" not in str(caught.value)
    require_memory(case(), "int8", torch.float32)


def test_nothing_fits(available: Limit) -> None:
    available(10**6)
    with pytest.raises(ConfigError, match="Free some memory, or take a smaller model"):
        require_memory(case(), "none", torch.float32)


@pytest.mark.parametrize("asked", [{}, {"kv_cache_share": 0.6}, {"memory_share": 0.9}])
def test_the_context_that_is_said_to_fit_does_fit(available: Limit, asked: dict[str, Any]) -> None:
    available(fixed() + 30 * 10**6)
    with pytest.raises(ConfigError) as caught:
        require_memory(case(max_model_len=4096, **asked), "none", torch.float32)
    found = re.search(r"--max-model-len (\d+)", str(caught.value))
    assert found is not None
    assert LEAST_TOKENS <= int(found[1]) < 4096
    fitting = case(max_model_len=int(found[1]), **asked)
    require_memory(fitting, "none", torch.float32)
    with pytest.raises(ConfigError):
        require_memory(case(max_model_len=int(found[1]) + 512, **asked), "none", torch.float32)
    size_cache(fitting.config, MODEL, int(found[1]), torch.float32, CPU, fixed())


def test_a_context_that_nobody_asked_for_may_shrink(available: Limit) -> None:
    available(fixed() + 30 * 10**6)
    require_memory(case(), "none", torch.float32)


def test_a_cache_larger_than_the_memory(available: Limit) -> None:
    available(10**9)
    with pytest.raises(ConfigError, match=r"--kv-cache-memory is 4\.29 GB\. What fits: --kv-cache-memory from"):
        require_memory(case(kv_cache_memory=4 << 30), "none", torch.float32)
