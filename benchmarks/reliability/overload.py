"""`python -m benchmarks.reliability.overload`: ten times as many requests as can be served, for two minutes.

First as many clients as there are places ask one after the other, which is the best the server can do; then requests
come ten times as fast as those were answered, whether or not there is an answer.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks import checkpoint, http_load
from benchmarks.reliability.traffic import Seen, complete, health, milliseconds, percentile, prompt, resident

PROMPT, ANSWER = 64, 32
HEALTH_SECONDS = 0.5


@dataclass(slots=True)
class Traffic:
    """All that clients saw between two moments."""

    seconds: float
    requests: list[Seen] = field(default_factory=list)
    started: float = 0.0

    @property
    def tokens_a_second(self) -> float:
        """Of the tokens that came in the time."""
        until = self.started + self.seconds
        return sum(self.started <= at < until for seen in self.requests for at in seen.tokens) / self.seconds

    @property
    def gaps(self) -> list[float]:
        return [gap for seen in self.requests for gap in seen.gaps]


class Clients:
    """Makes requests, each unlike all others."""

    def __init__(self, port: int, vocabulary: int) -> None:
        self.port = port
        self._vocabulary = vocabulary
        self._made = 0

    async def one(self, seen: Seen | None = None) -> Seen:
        self._made += 1
        body: dict[str, object] = {
            "prompt": prompt(self._made, PROMPT, self._vocabulary),
            "max_tokens": ANSWER,
            "temperature": 0,
            "ignore_eos": True,
        }
        return await complete(self.port, body, seen)

    async def closed(self, clients: int, seconds: float) -> Traffic:
        """So many clients, each with the next request when its last was answered."""
        traffic = Traffic(seconds, started=time.perf_counter())
        until = traffic.started + seconds

        async def client() -> None:
            while time.perf_counter() < until:
                traffic.requests.append(await self.one())

        await asyncio.gather(*(client() for _ in range(clients)))
        return traffic

    async def opened(self, rate: float, seconds: float) -> Traffic:
        """So many requests a second, come what may."""
        traffic, running = Traffic(seconds, started=time.perf_counter()), set[asyncio.Task[Seen]]()
        number = 0
        while (now := time.perf_counter() - traffic.started) < seconds:
            while number < now * rate:
                seen = Seen(time.perf_counter())
                traffic.requests.append(seen)
                running.add(task := asyncio.create_task(self.one(seen)))
                task.add_done_callback(running.discard)
                number += 1
            await asyncio.sleep(max(0.0, number / rate - now))
        await asyncio.gather(*running, return_exceptions=True)
        return traffic

    async def probe(self, found: list[tuple[int, float]]) -> None:
        """Ask for the server's health again and again."""
        while True:
            found.append(await health(self.port))
            await asyncio.sleep(HEALTH_SECONDS)


async def measure(server: http_load.Server, places: int, vocabulary: int, best_seconds: float, seconds: float) -> None:
    """Run all of it and print what was seen."""
    clients, process = Clients(server.port, vocabulary), psutil.Process(server.process.pid)
    await clients.closed(places, 3.0)
    best = await clients.closed(places, best_seconds)
    answered = best.tokens_a_second / ANSWER
    print(f"best         {best.tokens_a_second:.1f} tokens/s, {answered:.2f} requests/s by {places} clients in a row")
    print(f"             between tokens: {milliseconds(best.gaps)}")
    before, healths = resident(process), list[tuple[int, float]]()
    probe = asyncio.create_task(clients.probe(healths))
    over = await clients.opened(10 * answered, seconds)
    probe.cancel()
    after = resident(process)
    _print_overload(over, best, healths)
    print("memory       " + ", ".join(f"{name} {before[name]:.0f} -> {after[name]:.0f} MiB" for name in before))
    again = await clients.closed(places, best_seconds)
    print(f"best again   {again.tokens_a_second:.1f} tokens/s")
    most = max(best.tokens_a_second, again.tokens_a_second)
    print(f"overload     {over.tokens_a_second / most:.0%} of the better of both")


def _print_overload(over: Traffic, best: Traffic, healths: list[tuple[int, float]]) -> None:
    admitted = [seen for seen in over.requests if seen.status == 200]
    refused = [seen for seen in over.requests if seen.status == 429]
    other = len(over.requests) - len(admitted) - len(refused)
    print(
        f"overload     {len(over.requests)} requests in {over.seconds:.0f} s: "
        f"{len(admitted)} admitted, {len(refused)} refused, {other} other"
    )
    print(f"             {sum(seen.whole for seen in admitted)} of the admitted ended whole")
    print(f"throughput   {over.tokens_a_second:.1f} tokens/s")
    usual, late = statistics.median(best.gaps), percentile(best.gaps, 0.99)
    print(f"             between tokens: {milliseconds(over.gaps)}")
    print(
        f"             {statistics.median(over.gaps) / usual:.2f} times the median of the best, "
        f"{percentile(over.gaps, 0.99) / late:.2f} times its p99"
    )
    print(f"refusals     {milliseconds([seen.answered - seen.sent for seen in refused])}")
    print(
        f"health       {sum(status == 200 for status, _ in healths)} of {len(healths)} times 200: "
        f"{milliseconds([took for _, took in healths])}"
    )


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120.0, help="of overload")
    parser.add_argument("--best-seconds", type=float, default=20.0, help="of the closed loop")
    parser.add_argument("--places", type=int, default=8, help="sequences that run at a time")
    parser.add_argument("--queue", type=int, default=16, help="requests that may wait")
    parser.add_argument("--model", type=Path, help="a folder (default: a random checkpoint of Qwen3-0.6B's shape)")
    parser.add_argument("--vocabulary", type=int, default=checkpoint.VOCABULARY, help="its token ids")
    asked = parser.parse_args()
    flags = ["--max-num-seqs", str(asked.places), "--max-queue", str(asked.queue), "--max-model-len", "1024"]
    flags += ["--kv-cache-memory", "512MiB", "--quantization", "int8", "--log-level", "warning"]
    with http_load.server(asked.model or checkpoint.make_checkpoint(), *flags) as server:
        asyncio.run(measure(server, asked.places, asked.vocabulary, asked.best_seconds, asked.seconds))


if __name__ == "__main__":
    main()
