"""Figures as pictures; needs matplotlib (`pip install 'portico[bench]'`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from portico.client.bench.drive import Run
from portico.client.bench.figures import ALL_TERMS, Figures, values

SHORTEST_MS = 0.1
MISSING = "--plot needs matplotlib: pip install 'portico[bench]'"


def check() -> None:
    """Raise ImportError, with what to do, where there is no matplotlib."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(MISSING) from error


def draw(folder: Path, runs: Mapping[int, Run], found: Mapping[int, Figures], title: str) -> list[Path]:
    """Pictures in `folder`, by how many requests run at once: latencies, and for several numbers what they change."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [_save(_latencies(runs, found, title), folder / "latency.png")]
    if len(found) > 1:
        paths.append(_save(_concurrency(found, title), folder / "concurrency.png"))
    return paths


def _latencies(runs: Mapping[int, Run], found: Mapping[int, Figures], title: str) -> Any:
    """For each term the share of values up to each time."""
    figure, axes = _panels(2, 2, title)
    for axis, term in zip(axes.flat, _terms(found), strict=True):
        for level, run in runs.items():
            whole = [record for record in run.records if record.problem is None]
            ms = np.sort(1000 * np.asarray(values(whole, term)))
            if ms.size:
                label = f"{level} at once" if level else None
                axis.step(ms, 100 * np.arange(1, ms.size + 1) / ms.size, where="post", label=label)
        axis.set(title=ALL_TERMS[term][0], xlabel="ms", ylabel="% of values", ylim=(0, 102))
        # Few gaps are very much longer than all others, and some next to nothing.
        axis.set(xscale="log", xlim=(SHORTEST_MS, None)) if term == "itl" else axis.set(xlim=(0, None))
        if len(runs) > 1:
            axis.legend(fontsize="small", loc="lower right")
    return figure


def _concurrency(found: Mapping[int, Figures], title: str) -> Any:
    """Throughput and latencies against how many requests run at once."""
    figure, axes = _panels(2, 2, title)
    levels = list(found)
    first, tokens, _, end = _terms(found)
    throughput, terms = axes.flat[0], list(zip(axes.flat[1:], (first, tokens, end), strict=True))
    throughput.plot(levels, [figures.output_throughput for figures in found.values()], marker="o")
    throughput.set(title="Output throughput", ylabel="tokens/s")
    for axis, term in terms:
        spreads = [figures.spreads[term] for figures in found.values()]
        axis.plot(levels, [spread.median for spread in spreads], marker="o", label="median")
        for share in spreads[0].percentiles:
            values = [spread.percentiles[share] for spread in spreads]
            axis.plot(levels, values, marker=".", linestyle="--", label=f"p{share:g}")
        axis.set(title=ALL_TERMS[term][0], ylabel="ms")
        axis.legend(fontsize="small", loc="upper left")
    for axis in axes.flat:
        axis.set(xlabel="requests at once", xscale="log" if levels[-1] > 8 * levels[0] else "linear", ylim=(0, None))
        axis.set_xticks(levels, [str(level) for level in levels])
        axis.minorticks_off()
    return figure


def _terms(found: Mapping[int, Figures]) -> list[str]:
    text = "_text" if any(figures.begins_empty for figures in found.values()) else ""
    return [f"ttft{text}", f"tpot{text}", "itl", "e2el"]


def _panels(rows: int, columns: int, title: str) -> tuple[Any, Any]:
    # Without pyplot: that looks for a screen, and keeps every figure.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * columns, 3.6 * rows), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(rows, columns)
    for axis in axes.flat:
        axis.grid(alpha=0.3)
    return figure, axes


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=120)
    return path
