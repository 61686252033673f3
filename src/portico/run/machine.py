"""What this process may use of the machine: cores and memory, control groups respected."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Physical cores within the affinity mask, and no more than the cgroup's quota."""
    if not hasattr(os, "sched_getaffinity"):
        return max(1, os.cpu_count() or 1)
    cpus = os.sched_getaffinity(0)
    cores = len({_siblings(cpu) for cpu in cpus})
    return max(1, math.ceil(min(cores, cpu_quota())))


def _siblings(cpu: int) -> str:
    """The hardware threads of this one's core, as the kernel writes them."""
    try:
        return (
            Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text(encoding="ascii").strip()
        )
    except OSError:
        return str(cpu)


def cpu_quota() -> float:
    """CPUs that the tightest cgroup above this process grants; infinite without one."""
    quotas = [math.inf]
    for folder in _own_cgroups():
        fields = _read(folder / "cpu.max").split()
        if len(fields) == 2 and fields[0] != "max":
            quotas.append(int(fields[0]) / int(fields[1]))
    return min(quotas)


def memory_limit() -> int | None:
    """Bytes that the tightest cgroup above this process allows it; None without such a limit."""
    limits = [int(limit) for folder in _own_cgroups() if (limit := _read(folder / "memory.max")).isdecimal()]
    return min(limits, default=None)


def available_memory() -> int:
    """Bytes that can be allocated now without swapping, as far as the system tells."""
    amounts = [_system_memory()]
    for folder in _own_cgroups():
        limit, used = _read(folder / "memory.max"), _read(folder / "memory.current")
        if limit.isdecimal() and used.isdecimal():
            amounts.append(int(limit) - int(used) + _reclaimable(folder))
    return max(0, min(amounts))


def total_memory() -> int:
    """Bytes that this process may use at most, were nothing else there."""
    amounts = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    amounts += [int(limit) for folder in _own_cgroups() if (limit := _read(folder / "memory.max")).isdecimal()]
    return min(amounts)


def _system_memory() -> int:
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2  # no such file: macOS; half is a careful guess


def _reclaimable(folder: Path) -> int:
    """Page cache that the cgroup counts as used and would give up."""
    for line in _read(folder / "memory.stat").splitlines():
        if line.startswith("inactive_file "):
            return int(line.split()[1])
    return 0


def _own_cgroups() -> Iterator[Path]:
    """This process's cgroup (version 2) and those above it."""
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        hierarchy, _, path = line.split(":", 2)
        if hierarchy == "0":
            own = _CGROUPS / path.lstrip("/")
            yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(_CGROUPS))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return ""
