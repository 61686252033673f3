"""A response while it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from portico.errors import RequestError
from portico.protocol.events import Failure, Finish, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from portico.server.doors.responses.items import Item
from portico.server.doors.responses.kept import Shelf
from portico.server.doors.responses.output import Output
from portico.server.doors.responses.parts import Event
from portico.server.doors.responses.response import Response, ended, failed
from portico.server.sessions.history import Key
from portico.server.sse import named_event
from portico.text.pipeline import Pipeline, Prepared

DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Run:
    """One response on its way; its events can be asked for once."""

    pipeline: Pipeline
    prepared: Prepared
    output: Output
    response: Response
    """As it began."""
    shelf: Shelf | None
    """Where it is kept; None: nowhere."""
    given: list[Item]
    """What the model answers to."""
    cancelled: bool = False
    error: RequestError | None = None
    """Why there is no answer."""
    _sequence: int = 0
    _ended: asyncio.Future[Response] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    async def cancel(self) -> Response:
        """End it where it is; what there is of it then."""
        self.cancelled = True
        await self.pipeline.stop(self.prepared)
        return await asyncio.shield(self._ended)

    async def events(self) -> AsyncGenerator[Event, None]:
        """All of it, as it is made; the last event has the whole response, which is kept by then."""
        try:
            yield self._numbered({"type": "response.created", "response": self.response})
            yield self._going_on()
            async with aclosing(self._made()) as made:
                async for event in made:
                    yield event
        finally:
            if not self._ended.done():  # the client is gone
                self._ended.set_result({**self.response, "status": "cancelled", "output": self.output.items})

    async def whole(self) -> Response:
        """The response; raises the error of one that failed."""
        async with aclosing(self.events()) as events:
            async for _ in events:
                pass
        if self.error is not None:
            raise self.error
        return self._ended.result()

    def broken(self, error: RequestError) -> bytes:
        """The end of a stream that cannot go on, as server-sent events."""
        return b"".join(map(encoded, self._failed(error))) + DONE

    def beat(self) -> bytes:
        """What a stream says where nothing came for long: clients count events, and not comments."""
        return encoded(self._going_on())

    async def _made(self) -> AsyncGenerator[Event, None]:
        usage, cut = Usage(0, 0, 0), False
        async with aclosing(self.pipeline.run(self.prepared)) as events:
            async for event in events:
                match event:
                    case TextDelta() | ReasoningDelta() | ToolCallDelta():
                        for made in self.output.take(event):
                            yield self._numbered(made)
                    case Finish(_, reason):
                        cut = reason == "length"
                    case Usage():
                        usage = event
                    case Failure(error):
                        self.error = error
        for made in (
            [] if self.error is not None else self.output.end("incomplete" if cut or self.cancelled else "completed")
        ):
            yield self._numbered(made)
        for made in await self._conclude(usage, cut):
            yield made

    async def _conclude(self, usage: Usage, cut: bool) -> Iterable[Event]:
        """Keep the response and tell of its end."""
        response = ended(self.response, self.output.items, usage, cut=cut, cancelled=self.cancelled)
        if self.error is not None:
            response = failed(self.response, self.output.items, self.error)
        if self.shelf is not None:
            try:
                await self.shelf.save(response, self.given)
            except RequestError as error:
                self.error = self.error or error
        if self.error is not None:
            return self._failed(self.error)
        self._ended.set_result(response)
        kind = "completed" if response["status"] == "completed" else "incomplete"
        return [self._numbered({"type": f"response.{kind}", "response": response})]

    def _failed(self, error: RequestError) -> list[Event]:
        response = failed(self.response, self.output.items, error)
        if not self._ended.done():
            self._ended.set_result(response)
        told = {"type": error.type, "code": error.code, "message": error.message, "param": error.param}
        # Twice: as OpenAI has it beside the type, and below `error`, where clients find what to raise.
        return [
            self._numbered(
                {"type": "error", **{name: told[name] for name in ("code", "message", "param")}, "error": told}
            ),
            self._numbered({"type": "response.failed", "response": response}),
        ]

    def _going_on(self) -> Event:
        return self._numbered({"type": "response.in_progress", "response": self.response})

    def _numbered(self, event: Event) -> Event:
        number = self._sequence
        self._sequence += 1
        return {"type": event["type"], "sequence_number": number, **event}


class Runs:
    """The responses of a server that are being made."""

    def __init__(self) -> None:
        self._by_key: dict[Key, Run] = {}

    def get(self, key: Key) -> Run | None:
        """The response that is made under this key."""
        return self._by_key.get(key)

    async def events(self, key: Key, run: Run) -> AsyncGenerator[Event, None]:
        """Those of a run, which can be found while they come."""
        self._by_key[key] = run
        try:
            async with aclosing(run.events()) as events:
                async for event in events:
                    yield event
        finally:
            del self._by_key[key]


async def as_stream(events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
    """The events as a stream of server-sent events."""
    async with aclosing(events):
        async for event in events:
            yield encoded(event)
    yield DONE


def encoded(event: dict[str, Any]) -> bytes:
    """A server-sent event."""
    return named_event(event["type"], event)
