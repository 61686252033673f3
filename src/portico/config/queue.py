"""How many requests a server takes at a time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What may be in the server at a time, running and waiting."""

    requests: int
    running: int
    """Of them, those that run at the same time."""
    tokens: int | None = None
    """Of all their bodies, reckoned by their bytes."""
