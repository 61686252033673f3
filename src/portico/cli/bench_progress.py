"""What one sees while a load runs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from portico.client.bench.drive import Pace, Progress

REDRAW_SECONDS = 0.25
LINE_SECONDS = 5.0


@contextlib.asynccontextmanager
async def shown(console: Console, progress: Progress, pace: Pace) -> AsyncIterator[None]:
    """A bar on a terminal, else a line now and then, until the block ends."""
    showing = asyncio.create_task((_bar if console.is_terminal else _lines)(console, progress, pace))
    try:
        yield
    finally:
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await showing


async def _bar(console: Console, progress: Progress, pace: Pace) -> None:
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bar(*columns, console=console, transient=True, auto_refresh=False) as bar:
        line, start = line_of(progress, pace), time.perf_counter()
        task = bar.add_task(line(), total=pace.number or pace.duration)
        while True:
            done = len(progress.records) if pace.number else time.perf_counter() - start
            bar.update(task, completed=done, description=line())
            bar.refresh()
            await asyncio.sleep(REDRAW_SECONDS)


async def _lines(console: Console, progress: Progress, pace: Pace) -> None:
    line = line_of(progress, pace)
    while True:
        await asyncio.sleep(LINE_SECONDS)
        console.print(line(), highlight=False, soft_wrap=True)


def line_of(progress: Progress, pace: Pace) -> Callable[[], str]:
    """Makes the line that says how far it is; output tokens a second are those of answers that ended since the last."""
    start = time.perf_counter()

    def line() -> str:
        seconds = time.perf_counter() - start
        tokens = sum(record.output_tokens for record in progress.records)
        done = f"{len(progress.records)}" + (f"/{pace.number}" if pace.number else "")
        failed = f", {progress.failed} failed" if progress.failed else ""
        return f"{done} answered, {progress.running} running{failed}, {tokens / max(seconds, 1e-9):.0f} output tokens/s"

    return line
