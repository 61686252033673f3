"""`python -m benchmarks.stress`: mixed requests at a real server, a third of the clients hanging up at random.

At the end no block may be in use, no request may have failed, and memory must not have grown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections import Counter

import psutil

from benchmarks import http_load

SUBJECTS = ("apples", "time management", "the sea", "杭州", "西湖", "tea", "a quiet house")


def request(rng: random.Random) -> tuple[str, dict[str, object]]:
    """A path and a body: chat or completion, streamed or not, one or several choices, greedy or sampled."""
    body: dict[str, object] = {
        "model": "portico-demo",
        "max_tokens": rng.choice((1, 8, 32, 96)),
        "temperature": rng.choice((0, 0.7, 1.5)),
        "stream": rng.random() < 0.6,
        "n": rng.choice((1, 1, 1, 2, 4)),
        "seed": rng.randrange(1000),
        "stop": rng.choice((None, [".\n", "。"])),
    }
    subject = rng.choice(SUBJECTS)
    if rng.random() < 0.5:
        long = "Please read this. " * rng.choice((0, 0, 5, 60))
        return "/v1/chat/completions", body | {
            "messages": [{"role": "user", "content": f"{long}Write a haiku about {subject}."}]
        }
    prompts = [f"Tell me about {subject} {rng.randrange(9)}" for _ in range(rng.choice((1, 1, 3)))]
    return "/v1/completions", body | {"prompt": prompts}


async def client(port: int, rng: random.Random, outcomes: Counter[str]) -> None:
    """One request; a third of them hang up after a random number of bytes or a random wait."""
    path, body = request(rng)
    reader, writer = await http_load.post(port, path, body)
    try:
        if rng.random() < 1 / 3:
            try:
                async with asyncio.timeout(rng.random() * 0.5):
                    await reader.read(rng.randrange(2000))
            except TimeoutError:
                pass
            outcomes["hung up"] += 1
            return
        answer = await reader.read()
        status = int(answer.split(b" ", 2)[1])
        good = status == 200 and b'"error"' not in answer and (not body["stream"] or b"data: [DONE]" in answer)
        outcomes["answered" if good else f"failed with {status}"] += 1
    finally:
        writer.close()


async def health(port: int) -> dict[str, object]:
    """What /health says."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return dict(json.loads(answer.split(b"\r\n\r\n", 1)[1]))


def memory(pid: int) -> int:
    """Resident bytes of a process and its children."""
    process = psutil.Process(pid)
    return sum(p.memory_info().rss for p in [process, *process.children(recursive=True)])


async def drive(port: int, pid: int, count: int, at_once: int, seed: int) -> int:
    """Send `count` requests, `at_once` at a time; returns how many things are wrong at the end."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    gate = asyncio.Semaphore(at_once)
    sizes: list[int] = []

    async def one(seed: int) -> None:
        async with gate:
            await client(port, random.Random(seed), outcomes)

    for _ in range(4):
        await asyncio.gather(*(one(rng.getrandbits(32)) for _ in range(count // 4)))
        sizes.append(memory(pid))
    async with asyncio.timeout(60):
        while (state := await health(port))["blocks_used"] or state["running"] or state["waiting"]:
            await asyncio.sleep(0.05)
    growth = sizes[-1] / sizes[0] - 1
    print(f"{dict(outcomes)}; at the end {state}")
    print(f"resident MiB after each quarter: {[s >> 20 for s in sizes]}; last against first {growth:+.1%}")
    failures = sum(n for name, n in outcomes.items() if name.startswith("failed"))
    return failures + (growth > 0.10)


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.stress", description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    # A small pool: its pages are touched in the first quarter, so that later growth would be a leak.
    with http_load.server(None, "--log-level", "warning", "--kv-cache-memory", "64MiB") as server:
        wrong = asyncio.run(
            drive(server.port, server.process.pid, arguments.requests, arguments.at_once, arguments.seed)
        )
    print("all is well" if not wrong else f"{wrong} things are wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
