"""`python -m benchmarks.reliability.prompts`: 8 streams, and meanwhile a prompt of 4,096 tokens each second.

What a stream feels of it is the time between two of its tokens; the promise is that 99 of 100 such times are at most
three times the median.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import checkpoint, http_load
from benchmarks.reliability.traffic import Seen, complete, milliseconds, percentile, prompt

STREAMS = 8
LONG = 4096


async def measure(port: int, vocabulary: int, quiet: float, seconds: float, every: float) -> None:
    """Start the streams, watch them alone, then with prompts coming in."""
    streams = [Seen(time.perf_counter()) for _ in range(STREAMS)]
    bodies = [_body(prompt(number, 128, vocabulary), 7000) for number in range(STREAMS)]
    running = [asyncio.create_task(complete(port, body, seen)) for body, seen in zip(bodies, streams, strict=True)]
    while not all(seen.tokens for seen in streams):
        await asyncio.sleep(0.05)
    begun = time.perf_counter()
    await asyncio.sleep(quiet)
    prompts, asking = list[Seen](), list[asyncio.Task[Seen]]()
    loud = time.perf_counter()
    while time.perf_counter() < loud + seconds:
        seen = Seen(time.perf_counter())
        prompts.append(seen)
        asking.append(asyncio.create_task(complete(port, _body(prompt(100 + len(prompts), LONG, vocabulary), 1), seen)))
        await asyncio.sleep(every)
    ended = time.perf_counter()
    for task in (*running, *asking):
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*running, *asking, return_exceptions=True)
    alone, beside = _gaps(streams, begun, loud), _gaps(streams, loud, ended)
    usual, median, late = statistics.median(alone), statistics.median(beside), percentile(beside, 0.99)
    first = [seen.tokens[0] - seen.sent for seen in prompts if seen.tokens]
    print(f"{STREAMS} streams alone          {milliseconds(alone)}")
    print(f"a prompt every {every:g} s        {milliseconds(beside)}")
    print(
        f"p99 beside prompts       {late / median:.2f} times the median beside them, "
        f"{late / usual:.2f} times the median alone"
    )
    print(f"prompts of {LONG} tokens   {len(prompts)} came, {len(first)} were read in {ended - loud:.0f} s")
    if first:
        speed = len(first) * LONG / (ended - loud)
        print(f"                         {speed:.0f} tokens/s, the first of them read after {first[0]:.1f} s")


def _body(token_ids: list[int], max_tokens: int) -> dict[str, object]:
    return {"prompt": token_ids, "max_tokens": max_tokens, "temperature": 0, "ignore_eos": True}


def _gaps(streams: Sequence[Seen], start: float, stop: float) -> list[float]:
    return [
        later - sooner
        for seen in streams
        for sooner, later in zip(seen.tokens, seen.tokens[1:], strict=False)
        if start <= sooner and later < stop
    ]


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="with prompts coming in")
    parser.add_argument("--quiet", type=float, default=15.0, help="seconds before")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between prompts")
    parser.add_argument("--slowdown", default="2.5", help="--prefill-slowdown of the server")
    parser.add_argument("--model", type=Path, help="a folder (default: a random checkpoint of Qwen3-0.6B's shape)")
    parser.add_argument("--vocabulary", type=int, default=checkpoint.VOCABULARY, help="its token ids")
    asked = parser.parse_args()
    flags = ["--max-num-seqs", "16", "--max-model-len", "8192", "--kv-cache-memory", "3GiB", "--quantization", "int8"]
    flags += ["--prefill-slowdown", asked.slowdown, "--log-level", "warning"]
    with http_load.server(asked.model or checkpoint.make_checkpoint(), *flags) as server:
        asyncio.run(measure(server.port, asked.vocabulary, asked.quiet, asked.seconds, asked.every))


if __name__ == "__main__":
    main()
