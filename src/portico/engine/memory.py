"""When memory runs out: which process the system takes, and whether it has taken one."""

from __future__ import annotations

import contextlib
from pathlib import Path

SOONER = 200
"""How much sooner than other processes, in thousandths of the memory that has run out."""


def let_go_first(pid: int, root: Path = Path("/")) -> None:
    """Have the system take this process before the one that asks, which can replace it and is itself irreplaceable.

    A new engine is small while it loads; what it takes then must not cost the front. Only Linux can be asked.
    """
    file = root / f"proc/{pid}/oom_score_adj"
    with contextlib.suppress(OSError, ValueError):  # it may be gone already
        file.write_text(str(min(1000, int(file.read_text(encoding="ascii")) + SOONER)), encoding="ascii")


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
