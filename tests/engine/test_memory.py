"""Who counts the processes that were killed for want of memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico.config.engine import EngineConfig
from portico.engine.link import EngineProcess
from portico.engine.memory import out_of_memory_kills


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_the_machine_or_the_control_group(tmp_path: Path) -> None:
    assert out_of_memory_kills(tmp_path) == 0
    write(tmp_path / "proc/vmstat", "nr_free_pages 5\noom_kill 3\n")
    assert out_of_memory_kills(tmp_path) == 3
    write(tmp_path / "proc/self/cgroup", "1:name=systemd:/x\n0::/system.slice/portico\n")
    write(tmp_path / "sys/fs/cgroup/system.slice/portico/memory.events", "low 0\noom 9\noom_kill 4\noom_group_kill 0\n")
    assert out_of_memory_kills(tmp_path) == 4


def test_the_engine_goes_before_its_front() -> None:
    """Also while it is still small: it is the one that grows, and that can be replaced."""
    own = Path("/proc/self/oom_score_adj")
    if not own.exists():
        pytest.skip("this system cannot be told which process to take first")
    process = EngineProcess(EngineConfig(model_path="held"), "tests.engine.fake_process")
    try:
        told = Path(f"/proc/{process.popen.pid}/oom_score_adj").read_text()
        assert int(told) > int(own.read_text())
    finally:
        process.close()


def test_this_machine_counts_too() -> None:
    assert out_of_memory_kills() >= 0
