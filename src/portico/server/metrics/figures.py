"""The times and tokens of one request, and their sums over all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from portico.protocol.messages import Add, TokenEvent

Outcome = Literal["stop", "length", "error", "abort"]


@dataclass(slots=True)
class Timeline:
    """One request between the moment that the engine got it and its end; times in seconds of a monotonic clock."""

    prompt_tokens: int
    begun: float
    running: set[int]
    """Choices that go on."""
    cached_tokens: int = 0
    """Of the prompt's, those that had been computed before."""
    tokens: int = 0
    """That it gave."""
    first_tokens: int = 0
    """Those of them that came first, all at once."""
    first: float | None = None
    """When they came."""
    last: float = 0.0
    """When the last ones came."""
    ended: float = 0.0
    outcome: Outcome = "stop"
    error_code: str = "engine_error"
    """The word of its error, if it ended with one."""
    owner: int = 0
    """Who asked."""
    max_tokens: int = 0
    """That each choice may give."""
    scheduled: float | None = None
    """When the engine first gave it a place, if it has said so."""
    spoke: dict[int, float] = field(default_factory=dict)
    """When each choice last gave tokens."""
    lengths: dict[int, int] = field(default_factory=dict)
    """How many it has given."""
    ends: dict[int, str] = field(default_factory=dict)
    """How it ended, as the engine says."""
    choices: int = 1

    @classmethod
    def begin(cls, add: Add, now: float) -> Timeline:
        """A request that the engine gets now."""
        return cls(
            len(add.prompt_ids),
            now,
            set(range(add.n)),
            last=now,
            owner=add.owner,
            max_tokens=add.params.max_tokens,
            choices=add.n,
        )

    def take(self, events: Iterable[TokenEvent], now: float) -> list[float]:
        """What the engine gave; the seconds that passed in each choice since it last gave tokens."""
        count, gaps = 0, []
        for event in events:
            if event.token_ids:
                count += len(event.token_ids)
                if event.choice in self.spoke:
                    gaps.append(now - self.spoke[event.choice])
                self.spoke[event.choice] = now
                self.lengths[event.choice] = self.lengths.get(event.choice, 0) + len(event.token_ids)
            self.cached_tokens = max(self.cached_tokens, event.cached_tokens)
            if self.scheduled is None and event.scheduled is not None:
                self.scheduled = max(self.begun, event.scheduled)
            if event.finish is not None:
                self.running.discard(event.choice)
                self.ends[event.choice] = event.finish
                self.outcome = "error" if "error" in (event.finish, self.outcome) else event.finish
        if self.first is None and count:
            self.first, self.first_tokens = now, count
        self.tokens += count
        self.last = now
        return gaps

    def drop(self, choice: int | None) -> None:
        """The text layer wants no more of a choice, or of any: its text has come to an end."""
        self.running.difference_update(list(self.running) if choice is None else [choice])

    def end(self, now: float) -> None:
        """Nothing more comes."""
        self.ended = now
        if self.running and self.outcome != "error":
            self.outcome = "abort"

    @property
    def prefill_tokens(self) -> int:
        """Of the prompt's, those that had to be computed."""
        return self.prompt_tokens - self.cached_tokens

    @property
    def prefill_seconds(self) -> float:
        """Until the first tokens; waiting for room is part of it."""
        return (self.ended if self.first is None else self.first) - self.begun

    @property
    def queue_seconds(self) -> float | None:
        """Until it was given a place, if that is known."""
        return None if self.scheduled is None else self.scheduled - self.begun

    @property
    def computing_seconds(self) -> float | None:
        """From its place to its first tokens, where it has both."""
        return None if self.scheduled is None or self.first is None else max(0.0, self.first - self.scheduled)

    @property
    def inference_seconds(self) -> float | None:
        """From its place to its last tokens."""
        return None if self.scheduled is None else max(0.0, self.last - self.scheduled)

    @property
    def decode_tokens(self) -> int:
        """Those after the first."""
        return self.tokens - self.first_tokens

    @property
    def decode_seconds(self) -> float:
        """From the first tokens to the last."""
        return 0.0 if self.first is None else self.last - self.first

    @property
    def seconds(self) -> float:
        """From the beginning to the end."""
        return self.ended - self.begun


@dataclass(slots=True)
class Figures:
    """Sums over requests that have ended."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prefill_tokens: int = 0
    decode_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    last: Timeline | None = field(default=None)
    """The latest one that gave tokens."""

    def add(self, request: Timeline) -> None:
        """One more; a request that gave nothing says nothing about speed."""
        if request.first is None:
            return
        self.prompt_tokens += request.prompt_tokens
        self.completion_tokens += request.tokens
        self.prefill_tokens += request.prefill_tokens
        self.decode_tokens += request.decode_tokens
        self.prefill_seconds += request.prefill_seconds
        self.decode_seconds += request.decode_seconds
        self.last = request


def speed(tokens: int, seconds: float) -> float:
    """Tokens a second; nan where no time has passed."""
    return tokens / seconds if seconds > 0 else float("nan")
