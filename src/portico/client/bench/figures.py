"""What records come to. Terms and formulas are those of `vllm bench serve`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from portico.client.bench.drive import Run
from portico.client.bench.record import Record
from portico.client.bench.stream import REFUSED

PERCENTILES = (90.0, 95.0, 99.0)
TERMS: Mapping[str, tuple[str, str]] = {
    "ttft": ("TTFT", "time to first token: from sending a request to the first piece of its answer"),
    "tpot": ("TPOT", "time per output token: from the first piece to the last, divided by the tokens but the first; "
             "one value for each request of two tokens or more"),
    "itl": ("ITL", "inter-token latency: between one piece and the next, each pair of all requests one value, however "
            "many tokens a piece has"),
    "e2el": ("E2EL", "end-to-end latency: from sending a request to the last piece of its answer"),
}  # fmt: skip
TEXT_TERMS: Mapping[str, tuple[str, str]] = {
    "ttft_text": ("TTFT text", "the same up to the first piece that says, thinks or calls something"),
    "tpot_text": ("TPOT text", "the same from that piece on"),
}
"""For servers that begin an answer with an empty piece before they have a token."""
ALL_TERMS = {**TERMS, **TEXT_TERMS}
GOALS = ("ttft", "tpot", "e2el", *TEXT_TERMS)
APART = 1.02
"""How much later than its first piece an answer may say something without a word about it."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How values lie, in milliseconds."""

    mean: float
    median: float
    std: float
    percentiles: Mapping[float, float]
    """Interpolated between the values beside them."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one load came to; only requests with a whole answer count, but for the numbers of others."""

    completed: int
    refused: int
    problems: Mapping[str, int]
    """How many requests failed, by kind, those that were refused among them."""
    examples: Mapping[str, str]
    """What the server said of one of each kind."""
    seconds: float
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    uncounted: int
    """Requests whose tokens the server did not count: each piece was taken for one."""
    pieces: int
    spreads: Mapping[str, Spread]
    """By the names of TERMS and TEXT_TERMS."""
    good: int | None
    """Requests that met all goals; None without goals."""
    most_running: int
    cpu_seconds: float

    @property
    def failed(self) -> int:
        """Requests without a whole answer."""
        return sum(self.problems.values())

    @property
    def begins_empty(self) -> bool:
        """Whether first pieces say nothing, and what does comes later."""
        return self.spreads["ttft_text"].median > APART * self.spreads["ttft"].median

    @property
    def request_throughput(self) -> float:
        """Whole answers a second."""
        return self.completed / self.seconds

    @property
    def input_throughput(self) -> float:
        """Tokens of prompts a second."""
        return self.input_tokens / self.seconds

    @property
    def output_throughput(self) -> float:
        """Tokens of answers a second."""
        return self.output_tokens / self.seconds

    def as_json(self) -> dict[str, Any]:
        """Names of `vllm bench serve` where it has the figure."""
        spreads = {
            name: value
            for term, spread in self.spreads.items()
            for name, value in (
                (f"mean_{term}_ms", spread.mean),
                (f"median_{term}_ms", spread.median),
                (f"std_{term}_ms", spread.std),
                *((f"p{share:g}_{term}_ms", value) for share, value in spread.percentiles.items()),
            )
        }
        return {
            "duration": self.seconds,
            "completed": self.completed,
            "failed": self.failed,
            "refused": self.refused,
            "problems": dict(self.problems),
            "total_input_tokens": self.input_tokens,
            "cached_input_tokens": self.cached_tokens,
            "total_output_tokens": self.output_tokens,
            "uncounted": self.uncounted,
            "request_throughput": self.request_throughput,
            "input_throughput": self.input_throughput,
            "output_throughput": self.output_throughput,
            "total_token_throughput": self.input_throughput + self.output_throughput,
            **({} if self.good is None else {"request_goodput": self.good / self.seconds}),
            "most_running": self.most_running,
            **spreads,
            "client_cpu_seconds": self.cpu_seconds,
            "client_us_per_piece": 1e6 * self.cpu_seconds / max(1, self.pieces),
        }


def figures(run: Run, percentiles: Sequence[float] = PERCENTILES, goals: Mapping[str, float] | None = None) -> Figures:
    """Sum up a run; `goals` are the most milliseconds that a good request may take, by the names of GOALS."""
    whole = [record for record in run.records if record.problem is None]
    failed = [record.problem for record in run.records if record.problem is not None]
    kinds = Counter(problem.kind for problem in failed)
    return Figures(
        completed=len(whole),
        refused=kinds.get(REFUSED, 0),
        problems=dict(kinds.most_common()),
        examples={problem.kind: problem.detail for problem in reversed(failed)},
        seconds=run.seconds,
        input_tokens=sum(record.input_tokens for record in whole),
        cached_tokens=sum(record.cached_tokens for record in whole),
        output_tokens=sum(record.output_tokens for record in whole),
        uncounted=sum(not record.counted for record in whole),
        pieces=sum(len(record.chunks) for record in run.records),
        spreads={term: _spread(values(whole, term), percentiles) for term in ALL_TERMS},
        good=None if goals is None else sum(_meets(record, goals) for record in whole),
        most_running=_most_at_once(whole),
        cpu_seconds=run.cpu_seconds,
    )


def values(whole: Sequence[Record], term: str) -> list[float]:
    """Seconds of each request with a whole answer, of inter-token latency each gap."""
    if term == "itl":
        return [gap for record in whole for gap in record.itl]
    return [seconds for record in whole if (seconds := getattr(record, term)) is not None]


def detailed(records: Sequence[Record]) -> dict[str, list[Any]]:
    """Each request on its own, under the names of `vllm bench serve`; times in seconds."""
    whole = [record if record.problem is None else None for record in records]
    start = min((record.sent for record in records), default=0.0)
    return {
        "start_times": [record.sent - start for record in records],
        "ttfts": [record.ttft if record else 0.0 for record in whole],
        "itls": [record.itl if record else [] for record in whole],
        "latencies": [record.e2el if record else 0.0 for record in whole],
        "input_lens": [record.input_tokens for record in records],
        "output_lens": [record.output_tokens if record else 0 for record in whole],
        "errors": ["" if record.problem is None else record.problem.detail for record in records],
    }


def _spread(seconds: Sequence[float], percentiles: Sequence[float]) -> Spread:
    ms = 1000 * np.asarray(seconds or [0.0])
    shares = {share: float(np.percentile(ms, share)) for share in percentiles}
    return Spread(float(ms.mean()), float(np.median(ms)), float(ms.std()), shares)


def _meets(record: Record, goals: Mapping[str, float]) -> bool:
    """An answer of one token has no TPOT, which is good enough."""
    return all(1000 * (getattr(record, term) or 0.0) <= most for term, most in goals.items())


def _most_at_once(records: Sequence[Record]) -> int:
    changes = sorted([(record.sent, 1) for record in records] + [(record.chunks[-1], -1) for record in records])
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most
