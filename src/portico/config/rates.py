"""How much each API key may ask of a server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What a key may use in a minute; None: any number."""

    requests: int | None = None
    tokens: int | None = None
    """Of prompts and answers."""
