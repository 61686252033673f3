"""`portico bench [URL|MODEL]`: load, and what came of it as tables, JSON and pictures."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from portico import __version__
from portico.cli.bench_options import Load, read_load
from portico.cli.bench_progress import shown
from portico.cli.bench_server import started
from portico.client.bench import plots
from portico.client.bench.drive import Pace, Progress, Run, drive
from portico.client.bench.figures import Figures, detailed, figures
from portico.client.bench.files import read_prompts
from portico.client.bench.record import Ask, Conversation
from portico.client.bench.stream import Target
from portico.client.bench.table import notes, sweep_table, tables
from portico.client.bench.wire import Wire, WireError
from portico.client.bench.words import words_of
from portico.client.bench.work import Make, again_and_again, made_up, of_ids
from portico.errors import ConfigError, PorticoError

SEEDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Source:
    """What answers, and how to make prompts for it."""

    name: str
    ask: Ask
    make: Make


def run(arguments: Sequence[str]) -> int:
    """Measure; returns the exit status: 1 if no request was answered. Raises PorticoError."""
    load = read_load(arguments, secrets.randbelow(SEEDS), os.environ.get("OPENAI_API_KEY"))
    try:
        if load.plot is not None:
            plots.check()
        if load.save is not None:  # found out before the load, not after
            load.save.parent.mkdir(parents=True, exist_ok=True)
        given = None if load.prompts is None else read_prompts(load.prompts, load.shape.output_len, load.shape.turns)
        return asyncio.run(_run(load, given))
    except (ValueError, OSError, ImportError) as error:
        raise ConfigError(str(error)) from error
    except WireError as error:
        raise PorticoError(f"there is no answer: {error}") from error
    except KeyboardInterrupt:
        raise PorticoError("interrupted; nothing was measured to the end") from None


async def _run(load: Load, given: Sequence[Conversation] | None) -> int:
    console, err = Console(), Console(stderr=True)
    runs: dict[int, Run] = {}
    found: dict[int, Figures] = {}
    async with _source(load, err, words=given is None) as source:
        work = _work(load, given, source.make)
        await _warm_up(load, source.ask, work)
        for pace in _paces(load):
            level = pace.max_concurrency or 0
            progress = Progress()
            async with shown(err, progress, pace):
                runs[level] = await drive(work, source.ask, pace, progress)
            found[level] = figures(runs[level], load.percentiles, load.goals)
            _tell(console, found[level], _title(pace))
    if len(found) > 1:
        console.print(sweep_table(found))
    console.print(f"{source.name}; seed {load.seed}", highlight=False)
    if load.save is not None:
        load.save.write_text(json.dumps(_document(load, source.name, runs, found), indent=1) + "\n", encoding="utf-8")
        console.print(f"figures: {load.save}", highlight=False, soft_wrap=True)
    if load.plot is not None:
        for path in plots.draw(load.plot, runs, found, source.name):
            console.print(f"picture: {path}", highlight=False, soft_wrap=True)
    return 0 if all(one.completed for one in found.values()) else 1


def _paces(load: Load) -> list[Pace]:
    if not load.levels:
        return [load.pace]
    return [replace(load.pace, max_concurrency=level) for level in load.levels]


def _title(pace: Pace) -> str:
    rate = "" if math.isinf(pace.rate) else f"{pace.rate:g} requests/s"
    most = "" if pace.max_concurrency is None else f"at most {pace.max_concurrency} at once"
    return ", ".join(filter(None, (rate, most))) or "all at once"


def _tell(console: Console, figures: Figures, title: str) -> None:
    for table in tables(figures, title):
        console.print(table)
    for note in notes(figures):
        console.print(note, highlight=False, markup=False)


def _work(load: Load, given: Sequence[Conversation] | None, make: Make) -> Iterator[Conversation]:
    """One stream of conversations for warming up and all that follows, so that nothing is asked twice."""
    return made_up(load.shape, make, load.seed) if given is None else again_and_again(given, load.seed)


async def _warm_up(load: Load, ask: Ask, work: Iterator[Conversation]) -> None:
    """PorticoError if the first request fails."""
    if not load.warmups:
        return
    first = await drive(work, ask, Pace(1))
    problem = first.records[0].problem
    if problem is not None:
        raise PorticoError(f"the first request failed: {problem.kind}: {problem.detail}")
    if load.warmups > 1:
        most = load.pace.max_concurrency or max(load.levels, default=None)
        await drive(work, ask, Pace(load.warmups - 1, max_concurrency=most))


@asynccontextmanager
async def _source(load: Load, err: Console, *, words: bool) -> AsyncIterator[Source]:
    """What is measured, running; with `words` it is asked about its tokens."""
    if load.engine:
        from portico.cli.bench_engine import engine_target

        async with engine_target(load.target, load.serve, load.fields) as engine:
            about = f"{engine.loaded.device}, {engine.loaded.dtype}, {engine.loaded.threads} threads"
            name = f"{load.target or 'bundled model'}: engine alone ({about})"
            yield Source(name, engine.ask, of_ids(engine.loaded.vocab_size))
        return
    with _url(load) as url:
        wire = Wire(url.rstrip("/").removesuffix("/v1"), load.headers, verify=load.verify)
        try:
            model = load.model or await _first_model(wire)
            target = Target(wire, load.backend, model, load.fields, load.timeout, load.endpoint)
            yield Source(f"{model} at {url}", target.ask, await _make(target, err) if words else of_ids(1))
        finally:
            wire.close()


@contextlib.contextmanager
def _url(load: Load) -> Iterator[str]:
    if load.target is not None and load.is_url:
        yield load.target if "://" in load.target else f"http://{load.target}"
    else:
        with started(load.target, load.serve) as url:
            yield url


async def _make(target: Target, err: Console) -> Make:
    words = await words_of(target)
    if not words.exact:
        err.print("The server has no /tokenize, or few words of one token: lengths of prompts are right on average.")
    return words.text


async def _first_model(wire: Wire) -> str:
    answer = await wire.ask("GET", "/v1/models")
    try:
        name = json.loads(answer.body)["data"][0]["id"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise PorticoError(f"GET /v1/models answers {answer.status} without a model; name one with --model") from None
    return str(name)


def _document(load: Load, name: str, runs: dict[int, Run], found: dict[int, Figures]) -> dict[str, Any]:
    """What --save writes: one load's figures at the top, or those of each number of requests at once."""
    shape = load.shape
    head = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "portico": __version__,
        "target": name,
        "backend": "engine" if load.engine else load.backend,
        "seed": load.seed,
        "request_rate": "inf" if math.isinf(load.pace.rate) else load.pace.rate,
        "burstiness": load.pace.burstiness,
        "input_len": shape.input_len,
        "output_len": shape.output_len,
        "random_range_ratio": shape.range_ratio,
        "prefix_len": shape.prefix_len,
        "num_prefixes": shape.num_prefixes,
        "turns": shape.turns,
        "prompts": None if load.prompts is None else str(load.prompts),
        "fields": load.fields,
    }

    def one(level: int) -> dict[str, Any]:
        more = detailed(runs[level].records) if load.detailed else {}
        return {"max_concurrency": level or None, **found[level].as_json(), **more}

    if not load.levels:
        return {**head, **one(next(iter(found)))}
    return {**head, "levels": [one(level) for level in found]}
