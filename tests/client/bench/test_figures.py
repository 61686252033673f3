"""Every figure, from streams whose pieces come at known times."""

from __future__ import annotations

import itertools
import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from portico.client.bench.drive import Pace, Run, drive
from portico.client.bench.figures import figures
from portico.client.bench.record import Problem, Record, Turn
from portico.client.bench.stream import REFUSED, Backend, Reader, Target
from portico.client.bench.table import notes, sweep_table, tables
from portico.client.bench.wire import Wire
from portico.client.bench.work import Shape, again_and_again, made_up
from tests.client.bench import schedule
from tests.client.bench.schedule import Piece, Served, event, said, steady, usage


def record(sent: float, *chunks: float, tokens: int, text_from: int = 0, asked: int = 7) -> Record:
    return Record(sent, list(chunks), chunks[text_from], input_tokens=asked, output_tokens=tokens, counted=True)


def test_each_figure_of_known_times() -> None:
    records = [
        record(0.0, 0.1, 0.2, 0.4, tokens=3),
        record(1.0, 1.3, 1.5, tokens=5),  # two pieces of five tokens
        record(2.0, 2.2, tokens=1),  # has no time per token
        Record(3.0, [3.1], problem=Problem(REFUSED, "full")),
        Record(3.0, [3.1], problem=Problem("connection lost", "gone")),
    ]
    found = figures(Run(records, 4.0, 0.5), (50.0, 75.0), {"ttft": 250.0, "tpot": 160.0}).as_json()
    tpots = [150.0, 50.0]
    expected = {
        "duration": 4.0,
        "completed": 3,
        "failed": 2,
        "refused": 1,
        "total_input_tokens": 21,
        "total_output_tokens": 9,
        "request_throughput": 0.75,
        "input_throughput": 5.25,
        "output_throughput": 2.25,
        "total_token_throughput": 7.5,
        "request_goodput": 2 / 4,  # the second is too late
        "mean_ttft_ms": 200.0,
        "median_ttft_ms": 200.0,
        "std_ttft_ms": math.sqrt(20000 / 3),
        "p75_ttft_ms": 250.0,
        "mean_tpot_ms": sum(tpots) / 2,
        "p75_tpot_ms": 125.0,
        "mean_itl_ms": 500 / 3,
        "median_itl_ms": 200.0,
        "mean_e2el_ms": 1100 / 3,
        "median_e2el_ms": 400.0,
        "p50_e2el_ms": 400.0,
        "most_running": 1,
        "client_us_per_piece": 500000 / 8,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value), name
    assert found["problems"] == {REFUSED: 1, "connection lost": 1}


def test_figures_are_those_of_vllm_bench_serve() -> None:
    """What vLLM 0.32 recorded of 40 requests, and what it made of it (--save-result --save-detailed)."""
    theirs = json.loads(Path(__file__).with_name("vllm_serve.json").read_text())
    records = []
    parts = ("start_times", "ttfts", "itls", "input_lens", "output_lens")
    for sent, ttft, itl, asked, tokens in zip(*(theirs.pop(part) for part in parts), strict=True):
        chunks = list(itertools.accumulate(itl, initial=sent + ttft))
        records.append(record(sent, *chunks, tokens=tokens, asked=asked))
    ours = figures(Run(records, theirs["duration"], 0.0)).as_json()
    assert len(theirs) == 32
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, rel=1e-4), name


def test_pieces_before_the_first_token_are_told_apart() -> None:
    found = figures(Run([record(0.0, 0.01, 0.51, 0.61, tokens=2, text_from=1)], 1.0, 0.0))
    assert found.begins_empty
    assert found.spreads["ttft"].median == pytest.approx(10)
    assert found.spreads["ttft_text"].median == pytest.approx(510)
    assert found.spreads["tpot_text"].median == pytest.approx(100)
    assert "empty" in notes(found)[0]
    assert list(tables(found)[0].columns[0].cells)[-2:] == ["TTFT text", "TPOT text"]
    assert "TTFT text median" in [column.header for column in sweep_table({1: found}).columns]


def test_nothing_answered_has_figures_too() -> None:
    found = figures(Run([Record(0.0, problem=Problem("HTTP 500", "oh"))], 1.0, 0.0))
    assert (found.completed, found.failed, found.output_throughput) == (0, 1, 0)
    assert [str(cell) for cell in tables(found)[0].columns[1].cells] == ["-"] * 4
    assert json.dumps(found.as_json())


class Clock:
    """Each piece comes at the time that it says; nothing waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.parametrize("chat", [False, True])
def test_a_stream_is_read_as_it_was_scheduled(chat: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("portico.client.bench.stream.time", clock)
    reader = Reader(Record(0.0))
    for piece in steady(0.25, 0.125, 5, chat, tokens_each=2):
        clock.now = piece.at
        for byte in piece.data:  # cut anywhere
            reader.take(bytes([byte]))
    reader.end()
    got = reader.record
    assert got.problem is None
    assert (got.ttft, got.e2el, got.itl, got.tpot) == (0.25, 0.75, [0.125] * 4, 0.5 / 9)
    assert (got.input_tokens, got.output_tokens, got.counted) == (10, 10, True)


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]},
    ],
)
def test_thoughts_and_calls_are_pieces_that_say_something(delta: dict[str, Any]) -> None:
    reader = Reader(Record(0.0))
    reader.take(b": keep-alive\n\n" + event({"choices": [{"delta": {"role": "assistant", "content": ""}}]}))
    assert reader.record.first_text is None
    reader.take(event({"choices": [{"delta": delta}]}) + b"data: [DONE]\r\n\r\n")
    reader.end()
    assert reader.record.problem is None
    assert len(reader.record.chunks) == 2
    assert reader.record.first_text == reader.record.chunks[1]
    assert (reader.record.output_tokens, reader.record.counted) == (2, False)  # no usage: pieces count


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
PIECE = said("a", False)
DONE = event("[DONE]")


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("wire", "kind", "detail"),
    [
        (b'HTTP/1.1 429 X\r\nContent-Length: 28\r\n\r\n{"error":{"message":"full"}}', REFUSED, "full"),
        (b'HTTP/1.1 500 X\r\nContent-Length: 18\r\n\r\n{"message":"oops"}', "HTTP 500", "oops"),
        (b"HTTP/1.1 502 X\r\n\r\n<html>bad gateway", "HTTP 502", "bad gateway"),
        (b"", "connection lost", "before"),
        (CHUNKED + chunked(PIECE), "connection lost", "middle"),
        (CHUNKED + chunked(PIECE) + b"0\r\n\r\n", "incomplete stream", "[DONE]"),
        (CHUNKED + chunked(DONE) + b"0\r\n\r\n", "no token", "choice"),
        (CHUNKED + chunked(b"data: {oops\n\n") + b"0\r\n\r\n", "not JSON", "oops"),
        (
            CHUNKED + chunked(PIECE + event({"error": {"message": "engine lost"}}) + DONE) + b"0\r\n\r\n",
            "error in the stream",
            "engine lost",
        ),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "not HTTP", ""),
        (CHUNKED + b"zz\r\n", "not HTTP", ""),
    ],
)
async def test_what_goes_wrong_has_a_kind(wire: bytes, kind: str, detail: str) -> None:
    found = await one(wire)
    assert found.problem is not None
    assert found.problem.kind == kind
    assert detail in found.problem.detail


@pytest.mark.parametrize(
    "wire",
    [
        HEAD + b"\r\n" + PIECE + usage(4, 1) + DONE,  # until the connection ends
        HEAD + b"Content-Length: %d\r\n\r\n" % len(PIECE + usage(4, 1) + DONE) + PIECE + usage(4, 1) + DONE,
        b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED + chunked(PIECE + usage(4, 1)[:9]) + chunked(usage(4, 1)[9:] + DONE)
        + b"0\r\nTrailer: x\r\n\r\n",
    ],
)  # fmt: skip
async def test_every_framing_of_http_is_read(wire: bytes) -> None:
    found = await one(wire)
    assert found.problem is None
    assert (len(found.chunks), found.input_tokens, found.output_tokens) == (1, 4, 1)


async def one(wire: bytes) -> Record:
    server = await schedule.serve(lambda body, chat: wire, Served())
    async with server:
        return await target(server).ask((), Turn("hello", 4))


def target(server: Any, backend: Backend = "openai", **more: Any) -> Target:
    port = server.sockets[0].getsockname()[1]
    return Target(Wire(f"http://127.0.0.1:{port}", {"X-Test": "yes"}), backend, "synthetic", **more)


async def test_nobody_there_and_no_end() -> None:
    server = await schedule.serve(lambda body, chat: [Piece(60, DONE)], Served())
    async with server:
        slow = await target(server, timeout=0.05).ask((), Turn("hello", 4))
        gone = target(server)
    assert slow.problem is not None
    assert slow.problem.kind == "timeout"
    found = await gone.ask((), Turn("hello", 4))
    assert found.problem is not None
    assert found.problem.kind == "not connected"


async def test_concurrency_is_bounded_and_connections_are_used_again() -> None:
    served = Served()
    server = await schedule.serve(lambda body, chat: steady(0.01, 0.001, 3, chat), served)
    async with server:
        asked = target(server)
        run = await drive(again_and_again([[Turn("hi", 3)]], 0), asked.ask, Pace(12, max_concurrency=3))
    found = figures(run)
    assert served.most_running == 3
    assert (found.completed, found.most_running, found.output_tokens) == (12, 3, 36)
    assert all("X-Test: yes" in head for head in served.heads)
    assert len(asked.wire._idle) == 3


@pytest.mark.parametrize("backend", ["openai", "openai-chat"])
async def test_turns_carry_what_was_said(backend: Backend) -> None:
    served = Served()
    server = await schedule.serve(lambda body, chat: steady(0.0, 0.0, 2, chat), served)
    async with server:
        asked = target(server, backend, fields={"temperature": 0.5})
        await drive(iter([[Turn("one ", 2), Turn("two ", 3)]]), asked.ask, Pace(1))
    first, second = served.bodies
    assert second["stream_options"] == {"include_usage": True}
    assert (first["temperature"], second["model"]) == (0.5, "synthetic")
    if backend == "openai":
        assert (first["prompt"], second["prompt"]) == ("one ", "one word0 word1 two ")
        assert second["max_tokens"] == 3
    else:
        roles = [(message["role"], message["content"]) for message in second["messages"]]
        assert roles == [("user", "one "), ("assistant", "word0 word1 "), ("user", "two ")]
        assert second["max_completion_tokens"] == 3


async def test_a_duration_ends_the_load() -> None:
    server = await schedule.serve(lambda body, chat: steady(0.01, 0.0, 1, chat), Served())
    async with server:
        work = again_and_again([[Turn("hi", 1)]], 0)
        run = await drive(work, target(server).ask, Pace(duration=0.1, max_concurrency=2))
        with pytest.raises(ValueError, match="duration needs"):
            await drive(work, target(server).ask, Pace(duration=0.1))
    assert run.records
    assert max(record.sent for record in run.records) - min(record.sent for record in run.records) < run.seconds


def test_arrivals_are_those_of_the_rate() -> None:
    from portico.client.bench.drive import _times

    even, bursts = (list(_times(Pace(2000, rate=50.0, burstiness=shape, seed=3))) for shape in (20.0, 0.2))
    spreads = defaultdict(float)
    for name, times in (("even", even), ("bursts", bursts)):
        gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
        mean = sum(gaps) / len(gaps)
        assert times[-1] == pytest.approx(40.0)
        assert times == sorted(times)
        spreads[name] = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) / mean
    assert spreads["even"] == pytest.approx(1 / math.sqrt(20), rel=0.1)  # of a gamma distribution
    assert spreads["bursts"] == pytest.approx(1 / math.sqrt(0.2), rel=0.2)


def test_made_up_work_has_its_lengths_and_prefixes() -> None:
    shape = Shape(20, 10, range_ratio=0.5, prefix_len=4, num_prefixes=2, turns=2)

    def make(tokens: int, rng: Any) -> list[int]:
        return [rng.randrange(1000) for _ in range(tokens)]

    def some(seed: int) -> list[Any]:
        work = made_up(shape, make, seed)
        return [next(work) for _ in range(40)]

    conversations = some(1)
    assert conversations == some(1)
    assert conversations != some(2)
    assert len({tuple(turns[0].said[:4]) for turns in conversations}) == 2
    assert len({tuple(turns[0].said[:12]) for turns in conversations}) == 40
    lengths = {len(turns[0].said) - 4 for turns in conversations} | {len(turns[1].said) for turns in conversations}
    assert min(lengths) >= 10
    assert max(lengths) <= 30
    assert len(lengths) > 8
    assert {turn.max_tokens for turns in conversations for turn in turns} <= set(range(5, 16))
