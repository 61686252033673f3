"""Which of several drawn answers are the likeliest."""

from __future__ import annotations

import math
from collections.abc import Sequence

from portico.protocol.events import TokenInfo


def likeliest(answers: Sequence[Sequence[TokenInfo]], kept: int) -> list[int]:
    """The numbers of the `kept` answers of the highest mean log-probability a token, best first."""
    means = [_mean_logprob(tokens) for tokens in answers]
    return sorted(range(len(answers)), key=lambda number: (-means[number], number))[:kept]


def _mean_logprob(tokens: Sequence[TokenInfo]) -> float:
    """Of the tokens that were drawn, not of an echoed prompt's."""
    own = [info.token.logprob for info in tokens if info.token.logprob is not None and not info.prompt]
    return sum(own) / len(own) if own else -math.inf
