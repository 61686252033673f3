"""`make soak`: mixed traffic over every door, a third of whose clients leave early, for half an hour.

Each interval ends with a pause in which everything must be free again, and prints what the server holds: resident
memory of front and engine, file descriptors, threads, blocks. The first fifth of the time is for warming up; after it,
resident memory may grow by 5 % (16 MiB at least) and descriptors and threads by 4. The exit status says whether that
held and whether every request that was waited for was answered.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass

import psutil

from benchmarks import http_load
from benchmarks.reliability import every_door

MIB = 1 << 20
MOST_GROWTH, LEAST_GROWTH_BYTES = 0.05, 16 * MIB
MOST_MORE = 4
WARM_UP = 0.2
COLUMNS = ("minute", "front MiB", "engine MiB", "descriptors", "threads", "blocks", "answered", "left", "failed")


@dataclass(frozen=True, slots=True)
class Held:
    """What a server holds at a moment when nothing runs."""

    front: int
    engine: int
    descriptors: tuple[int, int]
    threads: tuple[int, int]
    blocks: int


def held(front: psutil.Process, blocks: int) -> Held:
    """Of front and engine."""
    (engine,) = (child for child in front.children() if "portico.build" in child.cmdline())
    return Held(
        front.memory_info().rss,
        engine.memory_info().rss,
        (front.num_fds(), engine.num_fds()),
        (front.num_threads(), engine.num_threads()),
        blocks,
    )


async def customer(port: int, rng: random.Random, until: float, outcomes: Counter[str]) -> None:
    """One request after the other."""
    while time.monotonic() < until:
        request = rng.choice(every_door.every_door(rng.choice((1, 8, 32, 96))))
        if rng.random() < 1 / 3:
            await every_door.left(port, request, rng, patience=0.5)
            outcomes["left"] += 1
            continue
        status, answer = await every_door.answered(port, request)
        good = status == 200 and b'"error"' not in answer
        outcomes["answered" if good else "failed"] += 1
        if not good:
            outcomes[f"{request[0]}: {status} {answer[:200]!r}"] += 1


async def drive(port: int, pid: int, minutes: float, at_once: int, seed: int) -> list[str]:
    """The traffic; returns what is wrong, for people."""
    rng, outcomes, looks = random.Random(seed), Counter[str](), []
    front = psutil.Process(pid)
    intervals = max(10, round(minutes))
    print("  ".join(COLUMNS))
    for number in range(1, intervals + 1):
        until = time.monotonic() + minutes * 60 / intervals
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(customer(port, random.Random(rng.getrandbits(64)), until, outcomes))
        state = await every_door.idle(port)
        look = held(front, state["blocks_used"])
        looks.append(look)
        row = (f"{number * minutes / intervals:.1f}", f"{look.front / MIB:.1f}", f"{look.engine / MIB:.1f}",
               "{}+{}".format(*look.descriptors), "{}+{}".format(*look.threads), str(look.blocks),
               *(str(outcomes[name]) for name in ("answered", "left", "failed")))  # fmt: skip
        print("  ".join(cell.rjust(len(name)) for name, cell in zip(COLUMNS, row, strict=True)), flush=True)
    wrong = [f"{count} x {name}" for name, count in outcomes.items() if ":" in name]
    return wrong + grown(looks)


def grown(looks: list[Held]) -> list[str]:
    """What is more at the end than once the server was warm."""
    warm, last = looks[int(len(looks) * WARM_UP)], looks[-1]
    wrong = []
    for name in ("front", "engine"):
        before, after = getattr(warm, name), getattr(last, name)
        print(f"resident memory of the {name}: {before / MIB:.1f} MiB warm, {after / MIB:.1f} MiB at the end")
        if after - before > max(MOST_GROWTH * before, LEAST_GROWTH_BYTES):
            wrong.append(f"the {name}'s memory grew from {before} to {after} bytes")
    for name in ("descriptors", "threads"):
        before, after = getattr(warm, name), getattr(last, name)
        if any(b - a > MOST_MORE for a, b in zip(before, after, strict=True)):
            wrong.append(f"{name} (front, engine) grew from {before} to {after}")
    if last.blocks:
        wrong.append(f"{last.blocks} blocks are in use at the end")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.reliability.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    # A small pool, so that all of its pages are touched while the server warms up.
    flags = ("--log-level", "warning", "--kv-cache-memory", "64MiB", "--session-store", "memory:")
    with http_load.server(None, *flags) as server:
        wrong = asyncio.run(
            drive(server.port, server.process.pid, arguments.minutes, arguments.at_once, arguments.seed)
        )
    print("\n".join(wrong) if wrong else "memory, descriptors and threads stayed, and no block was lost")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
