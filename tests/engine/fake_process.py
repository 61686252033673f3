"""An engine process on a MemoryRunner: everything real but the model. EngineConfig.model_path says how it behaves."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from portico import build
from portico.build import Announce, Tell
from portico.config.engine import EngineConfig
from portico.engine.engine import Engine
from portico.engine.plan import RowResult, Runner, StepPlan
from portico.engine.scheduler import Limits
from portico.errors import CheckpointError
from portico.protocol.messages import Loaded
from tests.engine.fake_runner import VOCABULARY, MemoryRunner

BLOCKS = 1100
CONTEXT = 4096


DEADLY, ENDLESS, KILLING = 1041, 1042, 1043
"""Tokens of prompts: computing them kills the process, never ends, is killed by SIGKILL. No answer has them."""


@dataclass(frozen=True, slots=True)
class DeadlyRunner:
    """A runner that some tokens bring down."""

    runner: Runner

    def run(self, plan: StepPlan) -> Sequence[RowResult]:
        for row in plan.rows:
            if DEADLY in row.token_ids:
                os.kill(os.getpid(), signal.SIGSEGV)
            if KILLING in row.token_ids:
                os.kill(os.getpid(), signal.SIGKILL)
            if ENDLESS in row.token_ids:
                signal.pause()
        return self.runner.run(plan)


def build_engine(config: EngineConfig, tell: Tell, announce: Announce) -> tuple[Engine, Loaded]:
    if config.model_path == "held":
        tell("half way", 0.5)
        signal.pause()
    if config.model_path == "broken":
        raise CheckpointError("the folder holds no model")
    if config.model_path == "crash":
        os._exit(7)
    if config.model_path.startswith("sticks:"):
        starts = Path(config.model_path.removeprefix("sticks:"))
        with starts.open("a") as written:
            written.write("one more\n")
        if len(starts.read_text().splitlines()) == 2:
            signal.pause()
    if config.model_path.startswith("once:"):
        try:
            Path(config.model_path.removeprefix("once:")).touch(exist_ok=False)
        except FileExistsError:
            raise CheckpointError("the folder holds no model any more") from None
    runner = DeadlyRunner(MemoryRunner(BLOCKS, 4))
    engine = Engine(runner, Limits(CONTEXT, 8, 16, 6), num_blocks=BLOCKS, block_size=4)
    loaded = Loaded(CONTEXT, 8, 16, 6, 4, BLOCKS, VOCABULARY, 8, "cpu", "none", 1, "fake", 0.0)
    announce(loaded)
    return engine, loaded


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "build_engine", build_engine)
        sys.exit(build.main(sys.argv[1]))
