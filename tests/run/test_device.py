"""Devices, dtypes, cores and memory: what is there is used, what isn't is said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from portico.errors import ConfigError
from portico.run import device, machine
from portico.run.device import resolve_device, resolve_dtype

CPU = torch.device("cpu")


def test_cpu_is_always_there() -> None:
    assert resolve_device("cpu") == CPU


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:1", "mps:0", "", "cuda:-1"])
def test_a_name_that_is_none_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(ConfigError, match="auto, cpu, cuda, cuda:i or mps"):
        resolve_device(name)


def test_an_absent_device_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto") == CPU
    with pytest.raises(ConfigError, match="no CUDA device"):
        resolve_device("cuda")
    with pytest.raises(ConfigError, match="MPS"):
        resolve_device("mps")


def test_a_cuda_index_beyond_the_last_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ConfigError, match=r"cuda:2.*2 CUDA devices"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("native", [True, False])
def test_dtypes_that_a_cpu_would_emulate_are_replaced_aloud(
    native: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(device, "cpu_has_bf16", lambda: native)
    fast = torch.bfloat16 if native else torch.float32
    caplog.set_level("INFO")
    assert resolve_dtype("auto", "float32", CPU) is torch.float32
    assert not caplog.text
    assert resolve_dtype("float16", "float32", CPU) is fast
    assert resolve_dtype("auto", "float16", CPU) is fast
    assert "float16" in caplog.text
    assert resolve_dtype("bfloat16", "float32", CPU) is fast
    assert resolve_dtype("auto", "bfloat16", CPU) is fast


def test_other_devices_take_the_dtype_as_it_is() -> None:
    assert resolve_dtype("auto", "float16", torch.device("cuda")) is torch.float16


def test_cores_are_those_of_the_affinity_mask() -> None:
    assert 1 <= machine.usable_cores() <= len(os.sched_getaffinity(0))


def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> None:
    """Put this process into a made-up cgroup; keys are file names with a dot written as two underscores."""
    for name, text in files.items():
        (tmp_path / name.replace("__", ".")).write_text(text)
    monkeypatch.setattr(machine, "_own_cgroups", lambda: iter([tmp_path]))


@pytest.mark.parametrize(("quota", "cores"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", 8)])
def test_a_cgroups_quota_bounds_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cores: int
) -> None:
    cgroup(tmp_path, monkeypatch, cpu__max=quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(machine, "_siblings", str)
    assert machine.usable_cores() == cores


def test_hardware_threads_of_one_core_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(machine, "_siblings", lambda cpu: str(cpu // 2))
    monkeypatch.setattr(machine, "_own_cgroups", lambda: iter([]))
    assert machine.usable_cores() == 4


def test_a_cgroups_limit_bounds_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cgroup(tmp_path, monkeypatch, memory__max="5000", memory__current="4000", memory__stat="inactive_file 300\n")
    assert machine.available_memory() == 1300
