"""`python -m benchmarks.sessions`: what the turns of a conversation cost whose history the server keeps.

The limit that it is measured against: a turn computes its own tokens, those of the last block of 16 that the turn
before left open, and nothing else; its time to first token is that of turn 2 plus the attention over what came before.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.http_load import server

BLOCK = 16
WORDS = "Tell me something about the history of country number {turn} and about its rivers, towns and lakes, please. "


@dataclass(frozen=True, slots=True)
class Cost:
    """One turn."""

    history: int
    new: int
    """Tokens of the new messages."""
    computed: int
    """Tokens of the prompt that were not found in the cache."""
    first_ms: float


def converse(http: httpx.Client, session_id: int, turns: int, sentences: int, answer_tokens: int) -> list[Cost]:
    """Hold one conversation; the answers have as many tokens as they may."""
    costs = []
    before = _counts(http)
    for turn in range(turns):
        body = {
            "prompt": WORDS.format(turn=turn + session_id % 10**9) * sentences,
            "session_id": session_id,
            "interactive_mode": True,
            "stream": True,
            "request_output_len": answer_tokens,
            "ignore_eos": True,
        }
        begun, first = time.perf_counter(), 0.0
        with http.stream("POST", "/v1/chat/interactive", json=body) as response:
            for line in response.iter_lines():
                first = first or time.perf_counter() - begun
                last = json.loads(line)
        after = _counts(http)
        computed = (after[0] - before[0]) - (after[1] - before[1])
        costs.append(Cost(last["history_tokens"], last["input_tokens"], computed, first * 1000))
        before = after
    return costs


def _counts(http: httpx.Client) -> tuple[int, int]:
    state = http.get("/health").json()
    return state.get("prompt_tokens", 0), state.get("cached_tokens", 0)


def main() -> None:
    """Print a table of the turns, each time the fastest of some conversations."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=None, help="a model folder (default: the bundled one)")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--sentences", type=int, default=6, help="length of each question")
    parser.add_argument("--answer-tokens", type=int, default=64)
    parser.add_argument("--conversations", type=int, default=5)
    parser.add_argument("flags", nargs="*", help="further flags of portico serve, behind --")
    given = parser.parse_args()
    with (
        server(given.model, "--log-level", "warning", *given.flags) as running,
        httpx.Client(base_url=f"http://127.0.0.1:{running.port}", timeout=None) as http,
    ):
        started = time.time_ns()
        runs = [
            converse(http, started + number, given.turns, given.sentences, given.answer_tokens)
            for number in range(given.conversations)
        ]
    print("turn  history     new  computed  limit   first token, ms")
    for number, (first, *_) in enumerate(zip(*runs[1:], strict=True), start=1):
        fastest = min(costs[number - 1].first_ms for costs in runs)
        limit = first.new + BLOCK + 1
        print(f"{number:4d}  {first.history:7d}  {first.new:6d}  {first.computed:8d}  {limit:5d}   {fastest:15.2f}")


if __name__ == "__main__":
    main()
