"""The wall between mind and hands: what the engine wants computed (`StepPlan`) and what came of it (`StepResult`).

The engine decides and holds integers; a `Runner` computes and holds tensors. This file imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from portico.protocol.messages import TokenLogprobs
from portico.protocol.sampling import Pooling, TokenParams


@dataclass(frozen=True, slots=True)
class Draw:
    """A wish for the token that follows a row's last one."""

    params: TokenParams
    choice: int
    position: int
    """Index of the drawn token among the sequence's output tokens; the counter of the random draw."""
    prompt_ids: Sequence[int]
    output_ids: Sequence[int]
    """Output tokens so far; both lists belong to the engine and are only to be read while the step runs."""
    candidates: int = 0
    """How many of the likeliest tokens to report instead of drawing one; 0: draw one."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The likeliest tokens at one place, and the logarithms of their probabilities there, falling."""

    token_ids: Sequence[int]
    logprobs: Sequence[float]


@dataclass(frozen=True, slots=True)
class Score:
    """A wish for the log-probabilities of the tokens that follow a row's first ones."""

    targets: Sequence[int]
    """targets[i] is what follows the row's token i; no more of them than the row has tokens."""
    top: int
    """How many of the likeliest tokens to report beside each."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A wish for the vector that stands for a prompt, of which the row is a part."""

    pooling: Pooling
    so_far: Sequence[float]
    """What came of the rows before."""
    tokens: int
    """How many the whole prompt has."""


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence's part of a step: compute `token_ids` at positions `start`, `start` + 1, …"""

    sequence_id: int
    token_ids: Sequence[int]
    start: int
    blocks: Sequence[int]
    """Block table: position p lives in block blocks[p // block_size] at offset p % block_size. Keys and values of the
    positions before `start` are already there; those of this row are written by this step."""
    draw: Draw | None
    """None while a prompt's chunk does not reach its end."""
    score: Score | None = None
    """What to report of the prompt's own tokens."""
    pool: Pool | None = None
    """What to make of its hidden states."""
    copied: tuple[int, int] | None = None
    """Before anything is computed, the second of these blocks becomes a copy of the first: it was shared, and this row
    is about to write to it."""


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One run of the model: decodes, prompt chunks or both."""

    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class RowResult:
    """What came of a row."""

    token_ids: Sequence[int] = ()
    """Of a `draw`: the token, and behind it those that must follow, for the request's grammar leaves no choice."""
    logprobs: TokenLogprobs | None = None
    """Of the drawn token, where the request asked for them."""
    candidates: Candidates | None = None
    """Of a `draw` that asked for candidates."""
    scores: Sequence[TokenLogprobs] = ()
    """Of the targets of a `score`."""
    pooled: Sequence[float] = ()
    """Of a `pool`: the vector, or what the next row needs for it."""
    error: str | None = None
    """Why the row could not be computed."""


class Runner(Protocol):
    """Computes plans; block 0 is never handed out, so a runner may pad with it."""

    def run(self, plan: StepPlan) -> Sequence[RowResult]:
        """Compute every row's keys, values and logits, and draw the tokens that are asked for."""
        ...
