"""What the person who starts a model decides about its text side."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextOptions:
    """How a model's answers are read."""

    tool_call_parser: str = "auto"
    """A name of `text/tools/registry.py`, auto (what the chat template speaks of), none, or a plug-in."""
    reasoning_parser: str = "auto"
    """The same for what the model thinks before it answers: a name of `text/thinking.py`, auto or none."""
