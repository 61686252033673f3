"""What a run found: kept as JSON, shown as a table of figures and ratios."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.peers.common import Measured, Sample, Setting, Shape, cores


@dataclass(slots=True)
class Entry:
    """One engine with one format: how it was set and what each round gave, or why there is nothing."""

    engine: str
    format: str
    bits: int
    version: str = ""
    setting: Setting = field(default_factory=dict)
    tried: list[dict[str, Any]] = field(default_factory=list)
    rounds: list[Measured] = field(default_factory=list)
    curves: Measured | None = None
    reason: str = ""

    @property
    def label(self) -> str:
        return f"{self.engine} {self.format}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A column of the table."""

    name: str
    read: Callable[[Measured], float | None]
    more_is_better: bool = True


def figures(shapes: list[Shape]) -> list[Figure]:
    """Prompt tokens a second where nothing is generated, new tokens a second elsewhere; then seconds to ready."""

    def of(shape: Shape) -> Callable[[Measured], float | None]:
        def read(measured: Measured) -> float | None:
            sample = measured.samples[shape.name]
            return shape.prompt / sample.first if shape.new_tokens == 1 else sample.rate

        return read

    return [
        *(Figure(shape.name, of(shape)) for shape in shapes),
        Figure("ready, s", lambda measured: measured.ready, more_is_better=False),
    ]


def machine() -> dict[str, Any]:
    """What this ran on, and how busy it was before."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ""
    )
    flags = next((line.split() for line in _lines("/proc/cpuinfo") if line.startswith("flags")), [])
    wide = [flag for flag in flags if flag.startswith(("avx512_", "avx_", "amx"))]
    return {
        "cpu": model or platform.processor(),
        "flags": wide,
        "cores": len(cores()),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "load_before": os.getloadavg()[0],
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def save(path: Path, about: dict[str, Any], shapes: list[Shape], curves: list[Shape], entries: list[Entry]) -> None:
    """Write everything; called after each process, so that an interrupted run loses nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        **about,
        "shapes": [asdict(shape) for shape in shapes],
        "curve_shapes": [asdict(shape) for shape in curves],
        "entries": [asdict(entry) for entry in entries],
    }
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1))
    partial.rename(path)


def read_entries(content: dict[str, Any]) -> list[Entry]:
    """The entries of a file that `save` wrote."""

    def measured(part: dict[str, Any]) -> Measured:
        return Measured(part["ready"], {name: Sample(**sample) for name, sample in part["samples"].items()})

    return [
        Entry(
            **entry
            | {
                "rounds": [measured(part) for part in entry["rounds"]],
                "curves": measured(entry["curves"]) if entry["curves"] else None,
            }
        )
        for entry in content["entries"]
    ]


def table(shapes: list[Shape], entries: list[Entry], ours: str) -> Table:
    """Medians and minima over the rounds; times: how much better `ours` of as many bits did, round by round."""
    columns = figures(shapes)
    shown = Table("", *(part for column in columns for part in (column.name, "times")))
    for bits in sorted({entry.bits for entry in entries}, reverse=True):
        group = [entry for entry in entries if entry.bits == bits]
        reference = next((entry for entry in group if entry.engine == ours and entry.rounds), None)
        for entry in group:
            if entry.rounds:
                shown.add_row(entry.label, *(part for column in columns for part in _cells(column, entry, reference)))
            else:
                shown.add_row(entry.label, "not measured", *[""] * (2 * len(columns) - 1))
        shown.add_section()
    return shown


def _cells(column: Figure, entry: Entry, reference: Entry | None) -> tuple[str, str]:
    values = [value for part in entry.rounds if (value := column.read(part)) is not None]
    if not values:
        return "–", ""
    shown = f"{statistics.median(values):.4g} ({min(values):.4g})"
    if reference is None or reference is entry:
        return shown, ""
    return shown, f"{ratio(column, entry, reference):.2f}"


def ratio(column: Figure, entry: Entry, reference: Entry) -> float:
    """The median over rounds of how many times better the reference did in the same round."""
    pairs = [(column.read(mine), column.read(its)) for mine, its in zip(reference.rounds, entry.rounds, strict=False)]
    found = [(mine / its if column.more_is_better else its / mine) for mine, its in pairs if mine and its]
    return statistics.median(found) if found else float("nan")


def drift(shapes: list[Shape], entry: Entry) -> str:
    """How far the rounds of one entry are apart, as a share of the median: what differences mean nothing."""
    parts = []
    for column in figures(shapes):
        values = [value for part in entry.rounds if (value := column.read(part)) is not None]
        if len(values) > 1:
            parts.append(f"{column.name} {(max(values) - min(values)) / statistics.median(values):.0%}")
    return ", ".join(parts)
