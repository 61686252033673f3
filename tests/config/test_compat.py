"""Whose habits the server takes on."""

from __future__ import annotations

import pytest

from portico.config.compat import choose_compat, parse_compat


def test_names() -> None:
    assert [parse_compat(name) for name in ("auto", "MLC", "mlc-chat")] == ["auto", "mlc", "mlc-chat"]
    with pytest.raises(ValueError, match="one of auto, none, mlc"):
        parse_compat("ollama")


def test_the_served_name_may_say_alpaca() -> None:
    names = ("gpt", "Chinese-LLaMA-Alpaca-2")
    assert choose_compat("auto", names) == "alpaca"
    assert choose_compat("auto", ("gpt",)) == "none"
    assert choose_compat("none", names) == "none"
    assert choose_compat("mlc-chat", names) == "mlc-chat"
