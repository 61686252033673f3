"""Logits of every position from a runner, computed in whatever chunks."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from portico.config.engine import EngineConfig
from portico.engine.plan import Row
from portico.run.build import build_runner
from portico.run.runner import TorchRunner

BLOCK = 16
TABLE = 8
BLOCKS = 10 * TABLE


def load(
    folder: Path, dtype: str = "float32", kernels: str = "auto", quantization: str = "none", kv: str = "auto"
) -> TorchRunner:
    """A runner over a tiny model with small blocks and enough of them."""
    config = EngineConfig(
        model_path=str(folder),
        dtype=dtype,  # type: ignore[arg-type]
        block_size=BLOCK,
        max_num_seqs=40,
        kv_cache_memory=64 * 2**20,
        threads=1,
        kernels=kernels,  # type: ignore[arg-type]
        quantization=quantization,  # type: ignore[arg-type]
        kv_cache_dtype=kv,  # type: ignore[arg-type]
    )
    return build_runner(config)[0]


def blocks_for(number: int, tokens: int) -> list[int]:
    """A block table of sequence `number`, out of order and apart from every other's."""
    shuffled = random.Random(0).sample(range(1, BLOCKS + 1), BLOCKS)
    return shuffled[number * TABLE : number * TABLE + -(-tokens // BLOCK)]


def forward(runner: TorchRunner, rows: Sequence[Row]) -> list[Tensor]:
    """Logits [tokens, vocab] of each row, in their order."""
    with torch.inference_mode():
        batch, order = runner._builder.build(rows)
        everywhere = torch.arange(len(batch.token_ids))
        hidden = runner.decoder(dataclasses.replace(batch, draws=everywhere), runner.cache)
        logits = runner.decoder.logits(hidden).float()
    parts = dict(zip(order, logits.split([len(rows[i].token_ids) for i in order]), strict=True))
    return [parts[i] for i in range(len(rows))]


def prefill(runner: TorchRunner, ids: Sequence[int], cuts: Sequence[int] = (), number: int = 0) -> Tensor:
    """Logits [len(ids), vocab] of a sequence computed in the chunks between `cuts`."""
    blocks = blocks_for(number, len(ids))
    edges = [0, *sorted(set(cuts)), len(ids)]
    pieces = [
        forward(runner, [Row(number, list(ids[a:b]), a, blocks, None)])[0]
        for a, b in itertools.pairwise(edges)
        if a < b
    ]
    return torch.cat(pieces) if pieces else torch.empty(0)
