"""Whose habits the server takes on where they contradict OpenAI's: what `--compat` may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from portico.config.text import PoolingKind

CompatName = Literal["none", "mlc", "mlc-chat", "alpaca", "lmdeploy", "vllm"]

SERVERS: dict[str, CompatName] = {
    "none": "none",
    "mlc": "mlc",
    "mlc-chat": "mlc-chat",
    "alpaca": "alpaca",
    "lmdeploy": "lmdeploy",
    "vllm": "vllm",
}
_ALPACA_NAMES = ("chinese-llama-alpaca", "chinese-alpaca")
_SECOND_ALPACA_NAMES = tuple(f"{name}-2" for name in _ALPACA_NAMES)


@dataclass(frozen=True, slots=True)
class TextHabits:
    """What a server has for models whose folder does not say it."""

    chat_template: str | None = None
    """The name of a built-in one."""
    pooling: PoolingKind = "last"


def parse_compat(text: str) -> str:
    """A name of `SERVERS`, or auto; ValueError if it is neither."""
    name = text.strip().lower()
    if name == "auto":
        return name
    if name not in SERVERS:
        raise ValueError(f"it must be one of auto, {', '.join(SERVERS)}")
    return name


def choose_compat(asked: str, served_names: Sequence[str]) -> CompatName:
    """The server that is meant; auto is alpaca where a served name says so, as that demo has it, else none."""
    if asked != "auto":
        return SERVERS[asked]
    return "alpaca" if any(part in name.lower() for name in served_names for part in _ALPACA_NAMES) else "none"


def text_habits(compat: CompatName, served_names: Sequence[str]) -> TextHabits:
    """What that server does with bare models: Chinese-LLaMA-Alpaca's were published without chat templates.

    A served name that says so means the first of its two series, as that demo has it.
    """
    if compat != "alpaca":
        return TextHabits()
    names = [name.lower() for name in served_names]
    second = any(part in name for name in names for part in _SECOND_ALPACA_NAMES)
    first = not second and any(part in name for name in names for part in _ALPACA_NAMES)
    return TextHabits("alpaca" if first else "chinese-alpaca-2", "mean")
