"""Dynamic NTK: one base for the whole engine, the one that transformers computes at the engine's length."""

from __future__ import annotations

from pathlib import Path

import torch

from portico.config.engine import EngineConfig
from portico.run.build import build_runner
from tests.run.logits import prefill
from tests.tiny_models import VOCAB, make_tiny_model


def test_a_stretched_engine_is_the_oracle_at_its_length(tmp_path: Path) -> None:
    length = 3 * 128 // 2
    oracle = make_tiny_model("rope-dynamic", tmp_path)
    ids = torch.randint(3, VOCAB, (length,), generator=torch.Generator().manual_seed(4)).tolist()
    # The test's block tables are 32 blocks apart.
    config = EngineConfig(
        model_path=str(tmp_path), max_model_len=length, block_size=16, kv_cache_memory=2**26, threads=1
    )
    runner, loaded = build_runner(config)
    assert loaded.max_model_len == length
    with torch.inference_mode():
        want = oracle(torch.tensor([ids])).logits[0]
    for cuts in ((), (1, 60, 128, 150)):
        got = prefill(runner, ids, cuts)
        assert float((got - want).abs().max() / want.abs().max()) < 1e-4
