"""The comparison with other engines: what is timed, what a ratio means, that a failure is shown and stops nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.peers import __main__ as command
from benchmarks.peers import results
from benchmarks.peers.common import (
    Measured,
    Peer,
    Sample,
    Setting,
    Shape,
    UnavailableError,
    follow,
    prompts,
    seconds_to_healthy,
)


def test_decode_is_timed_from_the_last_first_token_to_the_first_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    monkeypatch.setattr("benchmarks.peers.common.time.perf_counter", lambda: clock)
    steps = iter([[(0, 1)], [(0, 1), (1, 1)], [(0, 1), (1, 1)], [(0, 1), (1, 1)], [(1, 1)]])

    def step() -> list[tuple[int, int]]:
        nonlocal clock
        clock += 2.0
        return next(steps)

    sample = follow(Shape("", 2, 8, 4), step)
    assert sample == Sample(first=4.0, rate=4 / 4.0)
    assert next(steps) == [(1, 1)], "what comes after the first end is not waited for"


def test_prompts_of_one_turn_and_of_two_share_no_beginning() -> None:
    found = [tuple(prompt[:8]) for turn in range(4) for prompt in prompts(Shape("", 32, 128, 1), 151936, turn)]
    assert len(set(found)) == 4 * 32


def test_ratio_is_of_the_same_round_and_the_right_way_round() -> None:
    shape = Shape("prefill", 1, 100, 1)

    def measured(speed: float, ready: float) -> Measured:
        return Measured(ready, {"prefill": Sample(100 / speed, None)})

    ours = results.Entry("ours", "a", 16, rounds=[measured(200, 1), measured(100, 1), measured(400, 1)])
    theirs = results.Entry("theirs", "b", 16, rounds=[measured(100, 4), measured(50, 3), measured(100, 8)])
    prefill, ready = results.figures([shape])
    assert results.ratio(prefill, theirs, ours) == pytest.approx(2.0)
    assert results.ratio(ready, theirs, ours) == pytest.approx(4.0)


def test_a_server_that_ends_is_an_error_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.peers.common.HOME", tmp_path)
    code = "import sys; sys.exit('fatal: no such model')"
    with pytest.raises(UnavailableError, match="no such model"):
        seconds_to_healthy("test", sys.executable, "-c", code, port=1)


def _peer(name: str, fails: str) -> Peer:
    def install() -> str:
        if fails == "install":
            raise UnavailableError("no such package")
        return "1.0"

    def prepare(checkpoint: Path, form: str) -> Path:
        if fails == "prepare":
            raise UnavailableError("no such format")
        return checkpoint

    def measure(model: Path, form: str, setting: Setting, shapes: Sequence[Shape]) -> Measured:
        if fails == "measure" or (fails == "one setting" and setting["speed"] == 3):
            raise UnavailableError("out of memory")
        speed = float(setting["speed"])
        return Measured(1.0, {shape.name: Sample(1 / speed, speed) for shape in shapes})

    return Peer(name, {"f": 16}, ({"speed": 1}, {"speed": 2}, {"speed": 3}), "loaded", install, prepare, measure)


def test_an_engine_that_fails_is_named_with_its_reason_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failures = {"portico": "", "a": "install", "b": "prepare", "c": "measure", "d": "one setting"}
    monkeypatch.setattr(command, "PEERS", tuple(_peer(name, fails) for name, fails in failures.items()))
    monkeypatch.setattr(sys, "argv", ["peers", "--model", str(tmp_path), "--out", str(tmp_path), "--repeat", "2"])
    command.main()

    printed = capsys.readouterr().out
    assert "a f is missing: installing: no such package" in printed
    assert "b f is missing: converting: no such format" in printed
    assert "c f is missing: no setting worked" in printed
    (written,) = tmp_path.glob("*.json")
    entries = {entry.engine: entry for entry in results.read_entries(json.loads(written.read_text()))}
    assert {name: len(entry.rounds) for name, entry in entries.items()} == {
        "portico": 2,
        "a": 0,
        "b": 0,
        "c": 0,
        "d": 2,
    }
    assert entries["portico"].setting == {"speed": 3}
    assert entries["d"].setting == {"speed": 2}
