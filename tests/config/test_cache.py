"""Where the cache of packed weights is."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico.cli.serve import read_options
from portico.config import cache
from portico.config.engine import EngineConfig


@pytest.mark.parametrize(
    ("choice", "environ", "folder"),
    [
        ("off", {"PORTICO_CACHE_DIR": "/own"}, None),
        ("/there", {"PORTICO_CACHE_DIR": "/own"}, "/there/packed-weights"),
        ("~/there", {}, "/home/me/there/packed-weights"),
        ("auto", {"PORTICO_CACHE_DIR": "/own", "XDG_CACHE_HOME": "/xdg"}, "/own/packed-weights"),
        ("auto", {"PORTICO_CACHE_DIR": "", "XDG_CACHE_HOME": "/xdg"}, "/xdg/portico/packed-weights"),
        ("auto", {"XDG_CACHE_HOME": "not/absolute"}, "/home/me/.cache/portico/packed-weights"),
        ("auto", {}, "/home/me/.cache/portico/packed-weights"),
    ],
)
def test_the_folder(monkeypatch: pytest.MonkeyPatch, choice: str, environ: dict[str, str], folder: str | None) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert cache.weights_cache_folder(choice, environ) == folder


def test_without_a_home_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(cache.Path, "home", homeless)
    assert cache.weights_cache_folder("auto", {}) is None


def engine(*arguments: str) -> EngineConfig:
    return read_options(arguments).options.engine("model")


def test_the_flags_reach_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTICO_CACHE_DIR", "/own")
    assert engine().weights_cache == "/own/packed-weights"
    assert engine().weights_cache_size == 20 << 30
    assert engine().quantization == "auto"
    assert engine("--weights-cache", "off").weights_cache is None
    assert engine("--weights-cache", "/x", "--weights-cache-size", "1GiB").weights_cache == "/x/packed-weights"
    assert engine("--weights-cache-size", "1GiB").weights_cache_size == 1 << 30
    monkeypatch.setenv("PORTICO_WEIGHTS_CACHE", "off")
    assert engine().weights_cache is None
