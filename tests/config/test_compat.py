"""Whose habits the server takes on."""

from __future__ import annotations

import pytest

from portico.config import compat
from portico.config.compat import choose_compat, parse_compat


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "THERE", tuple(compat.SERVERS.values()))
    assert [parse_compat(name) for name in ("auto", "MLC", "mlc-chat")] == ["auto", "mlc", "mlc-chat"]
    with pytest.raises(ValueError, match="one of auto, none, mlc"):
        parse_compat("ollama")


def test_habits_that_no_door_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "THERE", ("none", "vllm"))
    with pytest.raises(ValueError, match="mlc are not there yet; these are: auto, none, vllm"):
        parse_compat("mlc")


def test_the_served_name_may_say_alpaca(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("gpt", "Chinese-LLaMA-Alpaca-2")
    monkeypatch.setattr(compat, "THERE", ("none",))
    assert choose_compat("auto", names) == "none"
    monkeypatch.setattr(compat, "THERE", ("none", "alpaca"))
    assert choose_compat("auto", names) == "alpaca"
    assert choose_compat("auto", ("gpt",)) == "none"
    assert choose_compat("none", names) == "none"
    assert choose_compat("mlc-chat", names) == "mlc-chat"
