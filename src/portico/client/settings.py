"""What a person may set of a request: names, values, and what is right for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of a chat completion request that a person may set."""

    name: str
    read: Callable[[str], Any]
    """The value that a text stands for; ValueError says what is right."""
    help: str
    metavar: str = "N"


def _number(low: float, high: float | None = None, *, above: bool = False) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not ((value > low if above else value >= low) and (high is None or value <= high)):
            raise ValueError
        return value

    return _said(read, f"a number {f'above {low:g}' if above else f'from {low:g}'}", high)


def _whole(low: int, high: int | None = None) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if value < low or (high is not None and value > high):
            raise ValueError
        return value

    return _said(read, f"a whole number from {low}", high)


def _said(read: Callable[[str], Any], what: str, high: float | None) -> Callable[[str], Any]:
    def checked(text: str) -> Any:
        try:
            return read(text)
        except ValueError:
            raise ValueError(f"it must be {what}{'' if high is None else f' to {high:g}'}, not {text!r}") from None

    return checked


def _stop(text: str) -> list[str]:
    return [text.replace("\\n", "\n")]


def _effort(text: str) -> str:
    if text not in EFFORTS:
        raise ValueError(f"it must be one of {', '.join(EFFORTS)}, not {text!r}")
    return text


EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
SETTINGS: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("temperature", _number(0, 2), "how freely tokens are drawn; 0 takes the likeliest", "T"),
        Setting("top_p", _number(0, 1, above=True), "draw from the likeliest tokens with this much probability", "P"),
        Setting("top_k", _whole(-1), "draw from this many likeliest tokens"),
        Setting("min_p", _number(0, 1), "draw from tokens at least this likely, beside the likeliest", "P"),
        Setting("max_tokens", _whole(1), "tokens an answer may have"),
        Setting("seed", _whole(-(2**63), 2**63 - 1), "the same seed, the same answer"),
        Setting("presence_penalty", _number(-2, 2), "against tokens that were said", "X"),
        Setting("frequency_penalty", _number(-2, 2), "against tokens, the more the oftener they were said", "X"),
        Setting("repetition_penalty", _number(0, above=True), "above 1: against what the conversation has", "X"),
        Setting("stop", _stop, "text at which an answer ends", "TEXT"),
        Setting("reasoning_effort", _effort, f"how much to think: {', '.join(EFFORTS)}", "HOW"),
    )
}
"""Those that there are, by name."""


def read_setting(name: str, text: str) -> tuple[str, Any]:
    """A setting's name as the API has it, and its value; ValueError says what would be right."""
    known = name.strip().lower().replace("-", "_")
    if known not in SETTINGS:
        raise ValueError(f"there is no setting {name!r}; there are {', '.join(SETTINGS)}")
    try:
        return known, SETTINGS[known].read(text)
    except ValueError as error:
        raise ValueError(f"{known}: {error}") from None
