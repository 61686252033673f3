"""Curves of a run, in matplotlib's environment: `-m benchmarks.peers.plot RESULTS.json` writes PNG files beside it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

STYLES = {16: "-", 8: "--", 4: ":"}


def main(path: Path) -> None:
    content = json.loads(path.read_text())
    shapes = content["curve_shapes"]
    entries = [entry for entry in content["entries"] if entry["curves"]]
    engines = sorted({entry["engine"] for entry in entries}, key=lambda engine: (engine != "portico", engine))
    colours = {engine: f"C{index}" for index, engine in enumerate(engines)}
    batch = [shape for shape in shapes if shape["name"].startswith("batch")]
    context = [shape for shape in shapes if shape["name"].startswith("context")]

    figure, axes = plt.subplots(figsize=(8, 5))
    _draw(axes, entries, colours, batch, "sequences", lambda sample: sample["rate"])
    axes.set(xlabel="sequences together", ylabel="new tokens a second", title="Decode, prompts of 128 tokens")
    _finish(figure, [axes], path.with_name(f"{path.stem}-batch.png"))

    figure, (first, each) = plt.subplots(1, 2, figsize=(13, 5))
    _draw(first, entries, colours, context, "prompt", lambda sample: sample["first"])
    first.set(xlabel="prompt tokens", ylabel="seconds", title="Time to the first token, one sequence")
    _draw(each, entries, colours, context, "prompt", lambda sample: 1000 / sample["rate"])
    each.set(xlabel="prompt tokens", ylabel="milliseconds", title="Time of a further token, one sequence")
    _finish(figure, [first, each], path.with_name(f"{path.stem}-context.png"))


def _draw(axes: Any, entries: list[Any], colours: dict[str, str], shapes: list[Any], along: str, read: Any) -> None:
    for entry in entries:
        samples = entry["curves"]["samples"]
        axes.plot(
            [shape[along] for shape in shapes],
            [read(samples[shape["name"]]) for shape in shapes],
            STYLES[entry["bits"]],
            color=colours[entry["engine"]],
            marker="o",
            label=f"{entry['engine']} {entry['format']}",
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks([shape[along] for shape in shapes], [str(shape[along]) for shape in shapes])
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)


def _finish(figure: Any, all_axes: list[Any], path: Path) -> None:
    all_axes[0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
