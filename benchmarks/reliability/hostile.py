"""`python -m benchmarks.reliability.hostile`: the pace of 8 streams while hostile requests arrive, by their kind.

Two clients send each kind again and again, as soon as the one before is answered. The table has the time from token to
token of the streams, and of what was sent how many were answered, with which statuses and in how long at most.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks import http_load

STREAMS = 8
SENDERS = 2
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
HI = [{"role": "user", "content": "hi"}]
BOMB = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@dataclass
class Pace:
    """What one window of time showed."""

    gaps: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0


def nested(levels: int, **leaf: Any) -> dict[str, Any]:
    schema: dict[str, Any] = leaf
    for _ in range(levels):
        schema = {"anyOf": [schema, {"allOf": [schema]}]}
    return schema


def chat(**fields: Any) -> bytes:
    return json.dumps({"messages": HI, "max_tokens": 16, **fields}).encode()


def completion(prompt: Any, **fields: Any) -> bytes:
    return json.dumps({"prompt": prompt, "max_tokens": 4, **fields}).encode()


def tools(count: int) -> list[dict[str, Any]]:
    properties = {f"p{place}": {"type": "string", "pattern": "(a|b)*a(a|b){9}"} for place in range(20)}
    function = {"parameters": {"type": "object", "properties": properties}, "strict": True}
    return [{"type": "function", "function": {"name": f"f{number}", **function}} for number in range(count)]


def kinds() -> Mapping[str, tuple[str, bytes]]:
    """What is sent: path and body."""
    integer = {"type": "integer"}
    endless = {**integer, "allOf": [{"multipleOf": 10007}, {"multipleOf": 10009}]}
    doubling = "".join(f"a{number}: a{number + 1} a{number + 1}\n" for number in range(60))
    return {
        "8 MiB on one line": (COMPLETIONS, completion("a" * (2**23 - 100))),
        "1 MiB of accents": (COMPLETIONS, completion("a\u0301" * 2**18)),
        "8 MiB of [": (COMPLETIONS, b"[" * 2**23),
        "8 MiB of []": (COMPLETIONS, b'{"prompt": [' + b"[]," * (2**23 // 3 - 10) + b"[]]}"),
        "8 MiB of keys": (COMPLETIONS, b"{" + b'"a":1,' * (2**23 // 6 - 10) + b'"b":1}'),
        "8 MiB of escapes": (COMPLETIONS, b'{"prompt": "' + b'\\"' * (2**22 - 20) + b'"}'),
        "1M token ids": (COMPLETIONS, completion([1] * 2**20)),
        "4096 messages": (CHAT, chat(messages=HI * 4096)),
        "128 tools": (CHAT, chat(tools=tools(128), tool_choice="required")),
        "schema, 2 multipleOf": (CHAT, chat(guided_json=endless)),
        "schema, nested anyOf": (CHAT, chat(guided_json=nested(9, type="string"))),
        "schema, enum of 12000": (CHAT, chat(guided_json={"enum": [f"value {number}" for number in range(12_000)]})),
        "schema, minItems 1e9": (CHAT, chat(guided_json={"type": "array", "items": integer, "minItems": 10**9})),
        "expression {}{}": (CHAT, chat(guided_regex="(.{1,1000}){1,1000}x")),
        "expression, states": (CHAT, chat(guided_regex=".*(a|b).{400}c.*(d|e).{400}")),
        "grammar, ambiguous": (CHAT, chat(guided_grammar='start: start start start | "a" | ""')),
        "grammar, 2^60": (CHAT, chat(guided_grammar=f'start: a0\n{doubling}a60: "x"')),
        "template bomb": (CHAT, chat(chat_template=BOMB)),
        "template, 16 MiB": (CHAT, chat(chat_template="{% for a in range(99999) %}{{ 'x' * 999 }}{% endfor %}")),
    }  # fmt: skip


async def flow(port: int, end: float, pace: Pace, number: int) -> None:
    """Stream after stream until the end, noting the time from token to token."""
    while time.perf_counter() < end:
        body = {"prompt": f"Tell me about {number}", "max_tokens": 200, "ignore_eos": True, "stream": True}
        reader, writer = await http_load.post(port, COMPLETIONS, body)
        last = 0.0
        try:
            async for line in reader:
                now = time.perf_counter()
                if line.startswith(b"data: {") and b'"usage"' not in line:
                    if b'"error"' in line:
                        raise RuntimeError(line.decode())
                    if last:
                        pace.gaps.append(now - last)
                    last = now
                if now > end:
                    break
        finally:
            writer.close()


async def attack(port: int, end: float, pace: Pace, path: str, body: bytes) -> None:
    """The same request again and again; the last may end after the window."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
    while time.perf_counter() < end:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
        begun = time.perf_counter()
        try:
            writer.write(head + body)
            await writer.drain()
            answer = await reader.read()
            pace.statuses[int(answer.split(b" ", 2)[1])] += 1
        except OSError:
            pace.statuses[0] += 1
        finally:
            writer.close()
        pace.slowest = max(pace.slowest, time.perf_counter() - begun)
        await asyncio.sleep(0.01)


async def window(port: int, seconds: float, sent: tuple[str, bytes] | None) -> Pace:
    """The streams alone, or with what is sent."""
    pace = Pace()
    end = time.perf_counter() + seconds
    work = [flow(port, end, pace, number) for number in range(STREAMS)]
    if sent is not None:
        work += [attack(port, end, pace, *sent) for _ in range(SENDERS)]
    await asyncio.gather(*work)
    return pace


def row(name: str, pace: Pace) -> str:
    gaps = sorted(pace.gaps)
    milliseconds = [statistics.median(gaps), gaps[int(len(gaps) * 0.99)], gaps[-1]]
    told = ", ".join(f"{count} x {status or 'cut off'}" for status, count in sorted(pace.statuses.items()))
    figures = "".join(f"{1000 * value:>10.1f}" for value in milliseconds)
    return f"{name:24}{figures}{len(gaps):>8}  {told}{f', {pace.slowest:.1f} s at most' if told else ''}"


async def measure(port: int, seconds: float, only: str) -> None:
    print(f"{'ms from token to token':24}{'median':>10}{'p99':>10}{'max':>10}{'tokens':>8}  answers to what was sent")
    await window(port, 2.0, None)
    print(row("undisturbed", await window(port, seconds, None)), flush=True)
    for name, sent in kinds().items():
        if only in name:
            print(row(name, await window(port, seconds, sent)), flush=True)
    print(row("undisturbed, again", await window(port, seconds, None)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each row")
    parser.add_argument("--only", default="", help="part of the names of the kinds to send")
    arguments = parser.parse_args()
    flags = ("--trust-request-chat-template", "--log-level", "error", "--max-num-seqs", "16")
    with http_load.server(None, *flags) as server:
        asyncio.run(measure(server.port, arguments.seconds, arguments.only))


if __name__ == "__main__":
    main()
