"""What is asked, and what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """One request: what a person says, and how long the answer may be."""

    said: str | Sequence[int] | Sequence[Message]
    """A text, tokens, or the messages of a chat."""
    max_tokens: int


Conversation = Sequence[Turn]
"""Turns one after the other, each with all before it and their answers."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request failed."""

    kind: str
    """In a few words, the same for all requests that failed in that way."""
    detail: str


@dataclass(slots=True)
class Record:
    """What was seen of one request; times are seconds of one monotonic clock."""

    sent: float
    chunks: list[float] = field(default_factory=list)
    """When each piece of the answer came."""
    first_text: float | None = None
    """When the first piece came that says, thinks or calls something."""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    counted: bool = False
    """Whether the server told the numbers of tokens; else each piece counts as one token."""
    problem: Problem | None = None
    answer: str = ""
    """What was said, where another turn needs it."""
    answer_ids: list[int] = field(default_factory=list)
    """The same as tokens, where there are such."""

    @property
    def ttft(self) -> float:
        """Seconds from sending to the first piece."""
        return self.chunks[0] - self.sent

    @property
    def e2el(self) -> float:
        """Seconds from sending to the last piece."""
        return self.chunks[-1] - self.sent

    @property
    def tpot(self) -> float | None:
        """Seconds for each token after the first; None where there are none."""
        return (self.e2el - self.ttft) / (self.output_tokens - 1) if self.output_tokens > 1 else None

    @property
    def ttft_text(self) -> float | None:
        """Seconds from sending to the first piece that says something; None if none does."""
        return None if self.first_text is None else self.first_text - self.sent

    @property
    def tpot_text(self) -> float | None:
        """Seconds for each token after the first, from that piece on."""
        if self.first_text is None or self.output_tokens < 2:
            return None
        return (self.chunks[-1] - self.first_text) / (self.output_tokens - 1)

    @property
    def itl(self) -> list[float]:
        """Seconds between each piece and the next."""
        return [later - sooner for sooner, later in zip(self.chunks, self.chunks[1:], strict=False)]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A turn that has been."""

    turn: Turn
    record: Record


Ask = Callable[[Sequence[Exchange], Turn, bool], Awaitable[Record]]
"""Makes a request after those before it; the bool: whether another one follows, which needs what is answered. A
request that fails gives a record with its problem."""
