"""When requests are sent: at a rate, with a bound on how many run, for a number of them or for a time."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import islice

from portico.client.bench.record import Ask, Conversation, Exchange, Record


@dataclass(frozen=True, slots=True)
class Pace:
    """When conversations begin."""

    number: int | None = None
    """How many; None: as many as begin within `duration`."""
    duration: float | None = None
    """Seconds in which they begin; those that run then are waited for."""
    rate: float = math.inf
    """A second, on average; inf: as soon as `max_concurrency` lets them."""
    burstiness: float = 1.0
    """Shape of the gamma distribution of the times between: 1 is a Poisson process, less comes in bursts."""
    max_concurrency: int | None = None
    seed: int = 0


@dataclass(slots=True)
class Progress:
    """What has been so far."""

    running: int = 0
    records: list[Record] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return sum(record.problem is not None for record in self.records)


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured."""

    records: list[Record]
    seconds: float
    """From the first beginning to the last end."""
    cpu_seconds: float
    """Of this process."""


async def drive(work: Iterator[Conversation], ask: Ask, pace: Pace, progress: Progress | None = None) -> Run:
    """Ask all of it; ValueError if nothing would end it."""
    if pace.number is None and pace.duration is None:
        raise ValueError("a load needs a number of requests or a duration")
    if pace.number is None and math.isinf(pace.rate) and pace.max_concurrency is None:
        raise ValueError("a duration needs a rate or a greatest number of requests that run")
    progress = progress or Progress()
    slots: asyncio.Semaphore | None = asyncio.Semaphore(pace.max_concurrency) if pace.max_concurrency else None
    closed_loop = slots is not None and math.isinf(pace.rate)
    cpu, start = time.process_time(), time.perf_counter()
    tasks = set[asyncio.Task[None]]()
    try:
        for due, conversation in zip(_times(pace), islice(work, pace.number), strict=False):
            await _sleep_until(start + due)
            if closed_loop and slots is not None:
                await slots.acquire()
            if pace.duration is not None and time.perf_counter() - start >= pace.duration:
                break
            task = asyncio.create_task(_converse(conversation, ask, nullcontext() if closed_loop else slots, progress))
            tasks.add(task)
            if closed_loop and slots is not None:
                task.add_done_callback(_release(slots))
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return Run(progress.records, time.perf_counter() - start, time.process_time() - cpu)


async def _converse(
    conversation: Conversation, ask: Ask, slot: AbstractAsyncContextManager[None] | None, progress: Progress
) -> None:
    before: list[Exchange] = []
    async with slot or nullcontext():
        for number, turn in enumerate(conversation, 1):
            progress.running += 1
            try:
                record = await ask(before, turn, number < len(conversation))
            finally:
                progress.running -= 1
            progress.records.append(record)
            before.append(Exchange(turn, record))
            if record.problem is not None:
                return


def _times(pace: Pace) -> Iterator[float]:
    """Seconds from the start at which conversations begin.

    Of a known number the last begins after number / rate seconds, as if the rate had been met exactly, so that runs
    with different seeds can be compared.
    """
    if math.isinf(pace.rate):
        while True:
            yield 0.0
    rng = random.Random(f"times {pace.seed}")
    at, times = 0.0, list[float]()
    for _ in range(pace.number or 0):
        at += rng.gammavariate(pace.burstiness, 1 / (pace.rate * pace.burstiness))
        times.append(at)
    yield from (time * pace.number / pace.rate / at for time in times if pace.number)
    while pace.number is None:
        at += rng.gammavariate(pace.burstiness, 1 / (pace.rate * pace.burstiness))
        yield at


async def _sleep_until(moment: float) -> None:
    seconds = moment - time.perf_counter()
    if seconds > 0:
        await asyncio.sleep(seconds)


def _release(slots: asyncio.Semaphore) -> Callable[[asyncio.Task[None]], None]:
    return lambda task: slots.release()
