"""`python -m benchmarks.peers`: the same shapes by other engines, each alone and at its best, in turns with ours."""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import checkpoint
from benchmarks.peers import common, llama_cpp, openvino, portico, results, transformers, vllm
from benchmarks.peers.common import Peer, Setting, Shape, UnavailableError

PEERS = (portico.PEER, llama_cpp.PEER, openvino.PEER, transformers.PEER, vllm.PEER)
DEFAULT_OUT = Path(__file__).parents[1] / "out" / "peers"
SHAPES = [
    Shape("prefill 1024", 1, 1024, 1),
    *(Shape(f"decode ×{n}", n, 128, 64) for n in (1, 8, 32)),
]
CURVES = [
    *(Shape(f"batch {n}", n, 128, 64) for n in (1, 2, 4, 8, 16, 32)),
    *(Shape(f"context {n}", 1, n, 32) for n in (128, 512, 1024, 2048, 4096)),
]


def main() -> None:
    arguments = _arguments()
    console = Console(width=170, soft_wrap=True)
    folder = arguments.model or checkpoint.make_checkpoint()
    shapes, curves = SHAPES, CURVES if arguments.plot else []
    if arguments.trial:
        shapes, curves = [_few(shape) for shape in shapes], [_few(shape) for shape in curves]
    about = {"begun": time.strftime("%Y-%m-%d %H:%M:%S"), "trial": arguments.trial, "machine": results.machine()}
    path = arguments.out / f"peers-{time.strftime('%Y%m%d-%H%M%S')}.json"

    chosen = [peer for peer in PEERS if not arguments.only or peer.name in (portico.NAME, *arguments.only)]
    entries, files = _prepare(console, chosen, folder)
    if arguments.prepare_only:
        _say_missing(console, entries)
        return
    if about["machine"]["load_before"] > 0.5:
        console.print(f"Something else is running (load {about['machine']['load_before']:.1f}): figures will be low.")
    run = Run(console, {peer.name: peer for peer in chosen}, files, entries)
    _tune(run, shapes[:1] if arguments.trial else shapes)
    for number in range(1 if arguments.trial else arguments.repeat):
        for entry in run.able():
            measured = run.measure(entry, entry.setting, shapes, f"round {number + 1}")
            if measured:
                entry.rounds.append(measured)
            results.save(path, about, shapes, curves, entries)
    for entry in run.able() if curves else []:
        entry.curves = run.measure(entry, entry.setting, curves, "curves")
        results.save(path, about, shapes, curves, entries)
    results.save(path, about, shapes, curves, entries)
    _report(console, about, shapes, entries, chosen)
    console.print(f"All of it: {path}")
    if arguments.plot:
        _plot(console, path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=__doc__)
    names = [peer.name for peer in PEERS if peer.name != portico.NAME]
    parser.add_argument("--model", type=Path, help="a Qwen3 checkpoint (default: random weights of Qwen3-0.6B's shape)")
    parser.add_argument(
        "--out", type=Path, default=DEFAULT_OUT, help="folder for JSON and plots (default: %(default)s)"
    )
    parser.add_argument("--repeat", type=int, default=3, help="rounds; each runs every engine once (default: 3)")
    parser.add_argument("--only", nargs="+", choices=names, metavar="ENGINE", help=f"some of {', '.join(names)}")
    parser.add_argument(
        "--plot", action="store_true", help="measure and draw curves over batch size and context length"
    )
    parser.add_argument("--trial", action="store_true", help="one round of few tokens, to see that everything runs")
    parser.add_argument("--prepare-only", action="store_true", help="install, build and convert; measure nothing")
    return parser.parse_args()


def _few(shape: Shape) -> Shape:
    return replace(shape, new_tokens=min(shape.new_tokens, 24))


def _prepare(console: Console, peers: Sequence[Peer], folder: Path) -> tuple[list[results.Entry], dict[str, Path]]:
    """Install each engine and convert the checkpoint to each of its formats; failures become reasons."""
    entries: list[results.Entry] = []
    files: dict[str, Path] = {}
    for peer in peers:
        version = reason = ""
        console.print(f"{peer.name}: installing what is missing ...")
        try:
            version = peer.install()
        except (UnavailableError, OSError) as error:
            reason = f"installing: {error}"
        for form, bits in peer.formats.items():
            entry = results.Entry(peer.name, form, bits, version, reason=reason)
            entries.append(entry)
            if reason:
                continue
            try:
                files[entry.label] = peer.prepare(folder, form)
            except (UnavailableError, OSError) as error:
                entry.reason = f"converting: {error}"
    # Engines of as many bits follow each other, so that what is compared is measured close together.
    return sorted(entries, key=lambda entry: -entry.bits), files


class Run:
    """Engines that are measured one after the other; one that fails is left out from then on, with its reason."""

    def __init__(
        self, console: Console, peers: dict[str, Peer], files: dict[str, Path], entries: list[results.Entry]
    ) -> None:
        self.console, self.peers, self.files, self.entries = console, peers, files, entries

    def able(self) -> list[results.Entry]:
        return [entry for entry in self.entries if not entry.reason]

    def measure(self, entry: results.Entry, setting: Setting, shapes: list[Shape], why: str) -> common.Measured | None:
        start = time.perf_counter()
        try:
            measured = self.peers[entry.engine].measure(self.files[entry.label], entry.format, setting, shapes)
        except (UnavailableError, OSError) as error:
            if why != "settings":
                entry.reason = f"{why}: {error}"
            self.console.print(f"{why}: {entry.label}: {error}")
            return None
        self.console.print(f"{why}: {entry.label} {describe(setting)}: {time.perf_counter() - start:.0f} s")
        return measured


def _tune(run: Run, shapes: list[Shape]) -> None:
    """Give each entry the setting with the best geometric mean of all figures but the time to ready."""
    for entry in run.able():
        settings = run.peers[entry.engine].settings
        if len(settings) == 1:
            entry.setting = settings[0]
            continue
        for setting in settings:
            measured = run.measure(entry, setting, shapes, "settings")
            if measured:
                values = [value for figure in results.figures(shapes)[:-1] if (value := figure.read(measured))]
                mean = math.exp(sum(map(math.log, values)) / len(values)) if values else 0.0
                entry.tried.append({"setting": dict(setting), "mean": mean})
        if entry.tried:
            entry.setting = max(entry.tried, key=lambda tried: tried["mean"])["setting"]
        else:
            entry.reason = "no setting worked; see its log"


def describe(setting: Setting) -> str:
    return " ".join(f"{name}={value}" for name, value in setting.items()) or "(defaults)"


def _report(
    console: Console, about: dict[str, Any], shapes: list[Shape], entries: list[results.Entry], peers: Sequence[Peer]
) -> None:
    machine = about["machine"]
    console.print(
        f"\n{machine['cpu']}, {machine['cores']} cores, {' '.join(machine['flags'])}; "
        f"load before {machine['load_before']:.1f}"
    )
    console.print(
        "Tokens a second: median (minimum) of the rounds; times: how much better Portico with as many bits is."
    )
    console.print(results.table(shapes, entries, portico.NAME))
    for entry in entries:
        if not entry.reason:
            console.print(f"{entry.label}: {entry.version}; {describe(entry.setting)}; {len(common.cores())} threads")
    for peer in peers:
        console.print(f"{peer.name} is ready when: {peer.ready}")
    for entry in entries:
        if entry.engine == portico.NAME and len(entry.rounds) > 1:
            console.print(f"{entry.label}, spread of the rounds: {results.drift(shapes, entry)}")
    _say_missing(console, entries)


def _say_missing(console: Console, entries: list[results.Entry]) -> None:
    for entry in entries:
        if entry.reason:
            console.print(f"{entry.label} is missing: {entry.reason}")


def _plot(console: Console, path: Path) -> None:
    try:
        python = common.environment("plot", "matplotlib")
        common.run("plot", os.fspath(python), "-m", "benchmarks.peers.plot", os.fspath(path))
        console.print(f"Plots beside it: {path.stem}-batch.png, {path.stem}-context.png")
    except UnavailableError as error:
        console.print(f"No plots: {error}")


if __name__ == "__main__":
    main()
