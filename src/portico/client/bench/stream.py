"""Streamed completions of OpenAI-style servers, each as the times at which its pieces came."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from portico.client.bench.record import Exchange, Problem, Record, Turn
from portico.client.bench.wire import Wire, WireError

Backend = Literal["openai", "openai-chat"]
ROUTES: Mapping[Backend, str] = {"openai": "/v1/completions", "openai-chat": "/v1/chat/completions"}
REFUSED = "refused (429)"


class Delta(msgspec.Struct):
    """What a chunk adds to a message."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: Any = None
    function_call: Any = None


class Choice(msgspec.Struct):
    """What a chunk adds to an answer, in the forms of chat and completions."""

    text: Any = None
    delta: Delta | None = None


class Details(msgspec.Struct):
    """Of a prompt's tokens."""

    cached_tokens: int | None = None


class Usage(msgspec.Struct):
    """What the server counted."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: Details | None = None


class Chunk(msgspec.Struct):
    """What is read of an event."""

    choices: list[Choice] | None = None
    usage: Usage | None = None
    error: Any = None


_chunk = msgspec.json.Decoder(Chunk)


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and what all requests to it have in common."""

    wire: Wire
    backend: Backend
    model: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Of each body, beside model, prompt and max_tokens."""
    timeout: float | None = None
    endpoint: str | None = None
    """In place of the backend's usual path."""

    async def ask(self, before: Sequence[Exchange], turn: Turn, keep: bool = False) -> Record:
        """Stream one answer; never raises for what a server does."""
        body = json.dumps(self.body(before, turn)).encode()
        reader = Reader(Record(time.perf_counter()), keep)
        path = self.endpoint or ROUTES[self.backend]
        try:
            async with asyncio.timeout(self.timeout):
                answer = await self.wire.ask("POST", path, body, reader.take)
            if answer.status == 200:
                reader.end()
            else:
                reader.record.problem = _refusal(answer.status, bytes(answer.body))
        except WireError as error:
            reader.fail(error.kind, str(error))
        except TimeoutError:
            reader.fail("timeout", f"no end within {self.timeout:g} seconds")
        return reader.record

    def body(self, before: Sequence[Exchange], turn: Turn) -> dict[str, Any]:
        """The request's JSON."""
        said = self._chat(before, turn) if self.backend == "openai-chat" else self._prompt(before, turn)
        return {
            "model": self.model,
            **said,
            "stream": True,
            "stream_options": {"include_usage": True},
            **self.fields,
        }

    def _chat(self, before: Sequence[Exchange], turn: Turn) -> dict[str, Any]:
        messages: list[Any] = []
        for exchange in before:
            messages += [*_messages(exchange.turn), {"role": "assistant", "content": exchange.record.answer}]
        return {"messages": [*messages, *_messages(turn)], "max_completion_tokens": turn.max_tokens}

    def _prompt(self, before: Sequence[Exchange], turn: Turn) -> dict[str, Any]:
        if not isinstance(turn.said, str):
            if before:
                raise TypeError("turns of token ids need an engine, whose answers are token ids")
            return {"prompt": turn.said, "max_tokens": turn.max_tokens}
        texts = [text for exchange in before for text in (exchange.turn.said, exchange.record.answer)]
        return {"prompt": "".join(map(str, [*texts, turn.said])), "max_tokens": turn.max_tokens}


def _messages(turn: Turn) -> list[Any]:
    return [{"role": "user", "content": turn.said}] if isinstance(turn.said, str) else list(turn.said)


class Reader:
    """Takes a stream of server-sent events apart. Each event of such servers is one line of data."""

    def __init__(self, record: Record, keep: bool = False) -> None:
        """`keep` what is said in the record."""
        self.record = record
        self._keep = keep
        self._rest = b""
        self._whole = False

    def take(self, piece: bytes) -> None:
        """Some bytes of the stream, cut anywhere."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):  # not a comment, an empty line, or the name of an event
                self._event(line[5:].strip())

    def end(self) -> None:
        """There is no more."""
        if self._rest:
            self.take(b"\n")
        record = self.record
        if record.problem is not None:
            return
        if not self._whole:
            self.fail("incomplete stream", "the stream ended without data: [DONE]")
        elif not record.chunks:
            self.fail("no token", "the stream has no choice of an answer in it")
        elif not record.output_tokens:
            record.output_tokens = len(record.chunks)

    def fail(self, kind: str, detail: str) -> None:
        """Note why there is no whole answer; the first reason stays."""
        if self.record.problem is None:
            self.record.problem = Problem(kind, detail)

    def _event(self, data: bytes) -> None:
        if data == b"[DONE]":
            self._whole = True
            return
        try:
            chunk = _chunk.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.fail("not JSON", f"{error}: {data[:100]!r}")
            return
        if chunk.error is not None:
            self.fail("error in the stream", _message(chunk.error))
        if chunk.choices:
            now = time.perf_counter()
            self.record.chunks.append(now)
            if self.record.first_text is None or self._keep:
                self._read(chunk.choices[0], now)
        if chunk.usage is not None:
            self._count(chunk.usage)

    def _read(self, choice: Choice, now: float) -> None:
        delta = choice.delta or Delta()
        text = choice.text or delta.content
        if self.record.first_text is None and (
            text or delta.reasoning_content or delta.reasoning or delta.tool_calls or delta.function_call
        ):
            self.record.first_text = now
        if self._keep and isinstance(text, str):
            self.record.answer += text

    def _count(self, usage: Usage) -> None:
        record = self.record
        record.counted = usage.completion_tokens is not None
        record.output_tokens = usage.completion_tokens or 0
        record.input_tokens = usage.prompt_tokens or 0
        if usage.prompt_tokens_details is not None:
            record.cached_tokens = usage.prompt_tokens_details.cached_tokens or 0


def _refusal(status: int, body: bytes) -> Problem:
    try:
        fields = json.loads(body)
        detail = _message(fields.get("error", fields) if isinstance(fields, dict) else fields)
    except ValueError:
        detail = body[:200].decode("utf-8", "replace")
    return Problem(REFUSED if status == 429 else f"HTTP {status}", detail)


def _message(error: Any) -> str:
    return str(error.get("message", error) if isinstance(error, dict) else error)[:200]
