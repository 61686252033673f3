"""An engine process on a MemoryRunner: everything real but the model. EngineConfig.model_path says how it behaves."""

from __future__ import annotations

import os
import sys

import pytest

from portico import build
from portico.config.engine import EngineConfig
from portico.engine.engine import Engine
from portico.engine.scheduler import Limits
from portico.errors import CheckpointError
from portico.protocol.messages import Loaded
from tests.engine.fake_runner import VOCABULARY, MemoryRunner

BLOCKS = 1100
CONTEXT = 4096


def build_engine(config: EngineConfig) -> tuple[Engine, Loaded]:
    if config.model_path == "broken":
        raise CheckpointError("the folder holds no model")
    if config.model_path == "crash":
        os._exit(7)
    runner = MemoryRunner(BLOCKS, 4)
    engine = Engine(runner, Limits(CONTEXT, 8, 16, 6), num_blocks=BLOCKS, block_size=4)
    return engine, Loaded(CONTEXT, 8, 16, 6, 4, BLOCKS, VOCABULARY, 8, "cpu", "none", 1, "fake", 0.0)


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "build_engine", build_engine)
        sys.exit(build.main(sys.argv[1]))
