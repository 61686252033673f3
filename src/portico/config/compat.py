"""Whose habits the server takes on where they contradict OpenAI's: what `--compat` may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

CompatName = Literal["none", "mlc", "mlc-chat", "alpaca", "lmdeploy", "vllm"]

SERVERS: dict[str, CompatName] = {
    "none": "none",
    "mlc": "mlc",
    "mlc-chat": "mlc-chat",
    "alpaca": "alpaca",
    "lmdeploy": "lmdeploy",
    "vllm": "vllm",
}
THERE: tuple[CompatName, ...] = ("none", "mlc", "mlc-chat")
"""Those whose habits a door has: a door that reads one from the settings adds its name here."""
_ALPACA_NAMES = ("chinese-llama-alpaca", "chinese-alpaca")


def parse_compat(text: str) -> str:
    """A name of `SERVERS`, or auto; ValueError if it is neither, or if no door has that server's habits."""
    name = text.strip().lower()
    if name == "auto":
        return name
    if name not in SERVERS:
        raise ValueError(f"it must be one of auto, {', '.join(SERVERS)}")
    if SERVERS[name] not in THERE:
        raise ValueError(f"the habits of {name} are not there yet; these are: auto, {', '.join(THERE)}")
    return name


def is_there(name: str) -> bool:
    """Whether a door has the habits of this server."""
    return name in THERE


def choose_compat(asked: str, served_names: Sequence[str]) -> CompatName:
    """The server that is meant; auto is alpaca where a served name says so, as that demo has it, else none."""
    if asked != "auto":
        return SERVERS[asked]
    alpaca = any(part in name.lower() for name in served_names for part in _ALPACA_NAMES)
    return "alpaca" if alpaca and "alpaca" in THERE else "none"
