"""Whether the system has killed processes because memory ran out."""

from __future__ import annotations

from pathlib import Path


def out_of_memory_kills(root: Path = Path("/")) -> int:
    """How many processes of this machine, or of this control group, were ever killed so; 0 where nobody counts.

    From /proc/vmstat and the control group's memory.events (Linux, cgroup version 2).
    """
    return max(_count(file) for file in (root / "proc/vmstat", _own_group(root) / "memory.events"))


def _own_group(root: Path) -> Path:
    for line in _lines(root / "proc/self/cgroup"):
        if line.startswith("0::"):
            return root / "sys/fs/cgroup" / line[3:].lstrip("/")
    return root / "sys/fs/cgroup"


def _count(file: Path) -> int:
    for line in _lines(file):
        name, _, number = line.partition(" ")
        if name == "oom_kill" and number.isdecimal():
            return int(number)
    return 0


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
