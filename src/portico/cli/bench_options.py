"""The command line of `portico bench`."""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portico.cli.parser import LineParser
from portico.client.bench.drive import Pace
from portico.client.bench.figures import ALL_TERMS, GOALS, PERCENTILES
from portico.client.bench.stream import Backend
from portico.client.bench.work import Shape

DEFAULT_NUMBER = 100
SIX_HOURS = 6 * 3600.0
FLOATS = ("temperature", "top-p", "min-p", "frequency-penalty", "presence-penalty", "repetition-penalty")
DESCRIPTION = """Send requests to a server and measure it: one of any make at a URL that has the OpenAI API, or Portico
itself with a model (the bundled one if none is named), started for this with the options behind --. With --engine the
engine alone, without HTTP and text."""
SAME = "Formulas are those of `vllm bench serve`, and so are most names of options and of figures in --save's file."


@dataclass(frozen=True, slots=True)
class Load:
    """What to ask, how, and what to do with the figures."""

    target: str | None
    """A URL, a model, or None for the bundled one."""
    engine: bool
    backend: Backend
    endpoint: str | None
    model: str | None
    headers: dict[str, str]
    verify: bool
    fields: dict[str, Any]
    timeout: float
    shape: Shape
    prompts: Path | None
    pace: Pace
    levels: tuple[int, ...]
    """Numbers of requests at once to go through; empty: as `pace` says."""
    warmups: int
    seed: int
    percentiles: tuple[float, ...]
    goals: dict[str, float] | None
    save: Path | None
    detailed: bool
    plot: Path | None
    serve: tuple[str, ...]
    """Options for the server or the engine that is started."""

    @property
    def is_url(self) -> bool:
        return self.target is not None and is_url(self.target)


def is_url(text: str) -> bool:
    """Whether it names a server: http://…, or host:port."""
    return "://" in text or re.fullmatch(r"(localhost|[\w.-]+|\[[0-9a-fA-F:]+\]):\d+(/\S*)?", text) is not None


def make_parser() -> LineParser:
    """The verb's command line."""
    terms = " ".join(f"{name}, {meaning}." for name, meaning in ALL_TERMS.values())
    parser = LineParser(
        prog="portico bench",
        usage="portico bench [URL|MODEL] [options] [-- options of portico serve]",
        description=DESCRIPTION,
        epilog=f"{terms} A piece is an event of the stream with a choice in it, whatever it says: text, thinking, a "
        "call, or nothing. Tokens are counted by the server (usage), or, where it does not tell, by pieces. "
        f"Throughput: what whole answers hold, divided by the seconds from the first request to the last end. {SAME}",
    )
    parser.add_argument("target", nargs="?", metavar="URL|MODEL", help="a server, or a model to start one with")
    _server(parser.add_argument_group("the server").add_argument)
    _load(parser.add_argument_group("how many requests, and when").add_argument)
    _prompts(parser.add_argument_group("what is asked").add_argument)
    _results(parser.add_argument_group("figures").add_argument)
    return parser


def _server(add: Callable[..., Any]) -> None:
    add("--engine", action="store_true", help="the engine alone, with prompts of random tokens, without HTTP and text")
    add(
        "--backend", choices=("openai", "openai-chat"), default="openai",
        help="completions or chat (default: openai)",
    )  # fmt: skip
    add("--endpoint", metavar="PATH", help="in place of the backend's: /v1/completions or /v1/chat/completions")
    add("--model", "--served-model-name", metavar="NAME", help="what requests name (default: the first at /v1/models)")
    add("--api-key", metavar="KEY", help="sent as a bearer token (default: OPENAI_API_KEY of the environment)")
    add("--header", action="append", default=[], metavar="KEY=VALUE", help="sent with each request; may be repeated")
    add("--insecure", action="store_true", help="do not check the server's certificate")
    add("--timeout", type=_number("a number of seconds above 0", low=1e-9), default=SIX_HOURS, metavar="SECONDS",
        help="the longest that a request may take (default: 21600)")  # fmt: skip


def _load(add: Callable[..., Any]) -> None:
    add("--num-prompts", type=_whole(1), metavar="N",
        help=f"how many conversations (default: {DEFAULT_NUMBER}, with --duration as many as begin in it)")  # fmt: skip
    add("--duration", type=_number("a number of seconds above 0", low=1e-9), metavar="SECONDS",
        help="begin none after this time; those that run are waited for")  # fmt: skip
    add("--request-rate", type=_number("requests a second above 0, or inf", low=1e-9), default=math.inf, metavar="RATE",
        help="requests a second, at the times of a Poisson process; inf: all at once (default: inf)")  # fmt: skip
    add("--burstiness", type=_number("above 0", low=1e-9), default=1.0, metavar="SHAPE",
        help="shape of the gamma distribution of the times between requests: less than 1 comes in bursts, more is "
        "even (default: 1, Poisson)")  # fmt: skip
    add("--max-concurrency", type=_whole(1), metavar="N", help="the most requests that run at once")
    add("--concurrency", type=_levels, default=(), metavar="N,N,...",
        help="measure with each of these as --max-concurrency, one after the other")  # fmt: skip
    add("--num-warmups", "--warmup", type=_whole(0), default=1, metavar="N",
        help="requests before, which do not count; if the first fails, that is the end (default: 1)")  # fmt: skip
    add("--seed", type=_whole(0), metavar="N",
        help="of prompts, lengths and times (default: drawn and told, so that no run finds the prompts of an earlier "
        "one in a prefix cache)")  # fmt: skip


def _prompts(add: Callable[..., Any]) -> None:
    add("--input-len", "--random-input-len", type=_whole(1), default=1024, metavar="TOKENS",
        help="of made-up prompts, or of what each turn adds (default: 1024)")  # fmt: skip
    add("--output-len", "--random-output-len", type=_whole(1), default=128, metavar="TOKENS",
        help="the most that an answer may have; see --ignore-eos (default: 128)")  # fmt: skip
    add("--random-range-ratio", "--range-ratio", type=_number("from 0 to below 1", high=0.999999), default=0.0,
        metavar="RATIO", help="lengths from (1 - RATIO) to (1 + RATIO) times the wanted (default: 0)")  # fmt: skip
    add("--prefix-len", "--random-prefix-len", "--prefix-repetition-prefix-len", type=_whole(0), default=0,
        metavar="TOKENS", help="beginnings that requests share, before --input-len tokens of their own")  # fmt: skip
    add("--num-prefixes", "--prefix-repetition-num-prefixes", type=_whole(1), default=1, metavar="N",
        help="how many such beginnings, in turn (default: 1)")  # fmt: skip
    add("--turns", type=_whole(1), default=1, metavar="N",
        help="requests of each conversation, each with all that was said before (default: 1)")  # fmt: skip
    add("--prompts", "--dataset-path", type=Path, metavar="FILE",
        help='prompts from a file instead: JSON lines of "text", {"prompt": ...}, {"messages": ...}, or ShareGPT\'s '
        "JSON; from its beginning again when it is over")  # fmt: skip
    add(
        "--ignore-eos",
        action="store_true",
        help="ask for answers of exactly the wanted length (not all servers know it)",
    )
    for name in FLOATS:
        add(f"--{name}", type=_number("a number"), metavar="X", help="sent with each request")
    add("--top-k", type=_whole(-1), metavar="N", help="sent with each request")
    add("--extra-body", type=_object, default={}, metavar="JSON", help="further fields of each request")


def _results(add: Callable[..., Any]) -> None:
    add("--percentiles", "--metric-percentiles", type=_percentiles, default=PERCENTILES, metavar="P,P,...",
        help="of each latency (default: 90,95,99)")  # fmt: skip
    add("--goodput", nargs="+", metavar="TERM:MS",
        help="count the requests that take at most so long: ttft:500 tpot:50 e2el:5000")  # fmt: skip
    add("--save", "--result-filename", type=Path, metavar="FILE", help="write the figures as JSON")
    add("--save-detailed", action="store_true", help="with them each request's times")
    add("--plot", type=Path, metavar="DIR", help="draw latency.png, and for --concurrency also concurrency.png")


def read_load(arguments: Sequence[str], drawn_seed: int, api_key: str | None) -> Load:
    """What the command line asks; ends the program with status 2 if it cannot be. `api_key` where it names none."""
    given = list(arguments)
    cut = given.index("--") if "--" in given else len(given)
    parser = make_parser()
    try:
        return _load_of(parser.parse_args(given[:cut]), tuple(given[cut + 1 :]), drawn_seed, api_key)
    except ValueError as error:
        parser.error(str(error))


def _load_of(parsed: argparse.Namespace, serve: tuple[str, ...], drawn_seed: int, api_key: str | None) -> Load:
    key = parsed.api_key or api_key
    target: str | None = parsed.target
    seed = drawn_seed if parsed.seed is None else parsed.seed
    number = parsed.num_prompts or (None if parsed.duration else DEFAULT_NUMBER)
    load = Load(
        target=target,
        engine=parsed.engine,
        backend=parsed.backend,
        endpoint=parsed.endpoint,
        model=parsed.model,
        headers={**({"Authorization": f"Bearer {key}"} if key else {}), **dict(map(_header, parsed.header))},
        verify=not parsed.insecure,
        fields=_fields(parsed),
        timeout=parsed.timeout,
        shape=Shape(
            parsed.input_len,
            parsed.output_len,
            parsed.random_range_ratio,
            parsed.prefix_len,
            parsed.num_prefixes,
            parsed.turns,
        ),
        prompts=parsed.prompts,
        pace=Pace(number, parsed.duration, parsed.request_rate, parsed.burstiness, parsed.max_concurrency, seed),
        levels=parsed.concurrency,
        warmups=parsed.num_warmups,
        seed=seed,
        percentiles=parsed.percentiles,
        goals=_goals(parsed.goodput),
        save=parsed.save,
        detailed=parsed.save_detailed,
        plot=parsed.plot,
        serve=serve,
    )
    _check(load)
    return load


def _check(load: Load) -> None:
    if load.is_url and (load.engine or load.serve):
        raise ValueError(f"{load.target} is a server that runs; --engine and options behind -- are for what is started")
    if load.levels and load.pace.max_concurrency is not None:
        raise ValueError("--concurrency and --max-concurrency say the same; give one of them")
    if load.pace.number is None and math.isinf(load.pace.rate) and not (load.levels or load.pace.max_concurrency):
        raise ValueError("--duration needs --request-rate, --max-concurrency or --concurrency: else all come at once")
    if load.detailed and load.save is None:
        raise ValueError("--save-detailed needs --save FILE")
    if load.engine and (load.endpoint or load.model or load.headers.keys() - {"Authorization"}):
        raise ValueError("--engine has no HTTP: --endpoint, --model and --header have no part in it")


def _fields(parsed: argparse.Namespace) -> dict[str, Any]:
    names = [name.replace("-", "_") for name in (*FLOATS, "top-k")]
    given = {name: getattr(parsed, name) for name in names if getattr(parsed, name) is not None}
    return {**given, **({"ignore_eos": True} if parsed.ignore_eos else {}), **parsed.extra_body}


def _goals(given: Sequence[str] | None) -> dict[str, float] | None:
    goals = {}
    for text in " ".join(given or ()).replace(",", " ").split():
        name, _, value = text.partition(":")
        if name not in GOALS:
            raise ValueError(f"--goodput: {text} has no known term; it must be like ttft:500, tpot:50 or e2el:5000")
        goals[name] = _number("milliseconds from 0")(value)
    return goals or None


def _header(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ValueError(f"--header: {text} must be KEY=VALUE")
    return name, value


def _whole(low: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"-?\d+", text) or int(text) < low:
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from {low}")
        return int(text)

    return read


def _number(words: str, low: float = -math.inf, high: float = math.inf) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} must be {words}")
        return value

    return read


def _levels(text: str) -> tuple[int, ...]:
    levels = tuple(map(_whole(1), text.replace(" ", "").split(",")))
    return tuple(sorted(set(levels)))


def _percentiles(text: str) -> tuple[float, ...]:
    read = _number("percentiles from 0 to 100, as in 50,99", 0, 100)
    return tuple(sorted({read(part) for part in text.split(",")}))


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r:.80} must be a JSON object")
    return value
