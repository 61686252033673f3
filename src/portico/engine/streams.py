"""What the front knows of running requests: enough to go on with each of them in another engine, should one be lost.

A new engine gets the requests of the lost one one by one, each once the one before it has gone on: so the request that
brings down the new one as well is known, and it alone is given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from portico.protocol.messages import Add, Cancel, ToEngine, TokenEvent

MOST_CRASHES = 2
"""Engines that may end while a request runs without going on in between, the last of them with no other suspect."""
MOST_KILLS = 4
"""The same where they were killed from outside, which is seldom the request's doing."""


@dataclass(slots=True, eq=False)
class Stream:
    """One request, what it has been given so far, and where its events go; one is equal to itself only."""

    add: Add
    said: list[list[int]]
    """The tokens of each choice."""
    living: set[int]
    """Choices that the engine has neither finished nor been told to drop."""
    wanted: set[int]
    """Choices whose end has not been read from the queue."""
    queue: asyncio.Queue[list[TokenEvent]] = field(default_factory=asyncio.Queue)
    sent: bool = False
    """Whether the running engine has it."""
    crashes: int = 0
    """Engines that were lost with it since it last went on."""
    waited: bool = False
    """Whether the lost engine was lost before it came to it."""

    def put(self, events: list[TokenEvent]) -> None:
        """Note events of its choices and hand them on."""
        for event in events:
            self.said[event.choice] += event.token_ids
            if event.finish is not None:
                self.living.discard(event.choice)
        self.crashes = 0
        self.queue.put_nowait(events)

    def fail(self, why: str) -> None:
        """End every choice that is left with an error."""
        request_id = self.add.request_id
        self.queue.put_nowait(
            [TokenEvent(request_id, choice, [], "error", error=why) for choice in sorted(self.wanted)]
        )
        self.living.clear()

    def rest(self) -> Add:
        """The request as an engine that knows nothing of it is to be asked."""
        if not any(self.said) and len(self.living) == self.add.n:
            return self.add
        said = [tokens if choice in self.living else None for choice, tokens in enumerate(self.said)]
        return msgspec.structs.replace(self.add, said=said)


class Streams:
    """All running requests, by id; `send` is how messages get to the engine of the moment."""

    def __init__(self, send: Callable[[ToEngine], None]) -> None:
        self._send = send
        self._streams: dict[str, Stream] = {}
        self._up = False
        self._suspects: list[Stream] = []
        """Of the lost engine: those that the new one does not have yet, and first the one that it was given last."""

    @property
    def waits(self) -> bool:
        """Whether the engine owes anybody anything."""
        return any(stream.sent and stream.living for stream in self._streams.values())

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, add: Add) -> Stream:
        """Begin a request; while there is no engine it waits for one."""
        choices = range(add.n)
        stream = Stream(add, [[] for _ in choices], set(choices), set(choices))
        self._streams[add.request_id] = stream
        if self._up:
            self._begin(stream)
        return stream

    def close(self, stream: Stream) -> None:
        """Forget a request, and let the engine drop what is left of it."""
        del self._streams[stream.add.request_id]
        if stream.living:
            self._drop(stream, None)
        self._clear(stream)

    def drop(self, request_id: str, choice: int | None) -> None:
        """Drop a request or one choice of it; no more events come for what is dropped."""
        stream = self._streams.get(request_id)
        if stream is None:
            return
        self._drop(stream, choice)
        stream.wanted.difference_update(list(stream.wanted) if choice is None else [choice])
        stream.queue.put_nowait([])  # wakes the reader, who ends if nothing is left
        if not stream.living:
            self._clear(stream)

    def take(self, events: Iterable[TokenEvent]) -> None:
        """Hand events of one step to the requests that they are for."""
        by_request: dict[str, list[TokenEvent]] = {}
        for event in events:
            by_request.setdefault(event.request_id, []).append(event)
        for request_id, group in by_request.items():
            if (stream := self._streams.get(request_id)) is not None:
                stream.put(group)
                self._clear(stream)

    def engine_ready(self) -> None:
        """Give a new engine all there is: what the last one had one by one, the rest at once."""
        self._up = True
        waiting = [stream for stream in self._streams.values() if stream.living]
        self._suspects = [stream for stream in waiting if stream.crashes]
        # Who was tried last is soon cleared, or known; then those that engines which are lost soon never come to.
        self._suspects.sort(key=lambda stream: (-stream.crashes, not stream.waited))
        for stream in waiting:
            if not stream.crashes:
                self._begin(stream)
        self._try_next()

    def engine_lost(self, why: str, *, killed: bool) -> None:
        """The engine is gone: every request waits for the next one, but for one that has brought down too many."""
        self._up = False
        for stream in self._streams.values():
            stream.crashes += stream.sent and bool(stream.living)
        if self._suspects and self._suspects[0].sent:
            tried = self._suspects[0]
            if tried.crashes >= (MOST_KILLS if killed else MOST_CRASHES):
                tried.fail(f"The engine was lost {tried.crashes} times while this request ran: {why}.")
        for stream in self._streams.values():
            stream.waited, stream.sent = not stream.sent, False
        self._suspects = []

    def fail_all(self, why: str) -> None:
        """End everything with an error."""
        self._up = False
        for stream in self._streams.values():
            stream.fail(why)

    def _begin(self, stream: Stream) -> None:
        try:
            self._send(stream.rest())
        except (OverflowError, TypeError, ValueError) as error:  # what no message can hold ends its own request alone
            stream.fail(f"The request cannot be sent to the engine: {error}.")
            return
        stream.sent = True

    def _drop(self, stream: Stream, choice: int | None) -> None:
        if stream.sent:
            self._send(Cancel(stream.add.request_id, choice))
        stream.living.difference_update(list(stream.living) if choice is None else [choice])

    def _clear(self, stream: Stream) -> None:
        """A request has gone on, or is gone: if all waited for that, the next one may begin."""
        if stream not in self._suspects:
            return
        was_tried = stream is self._suspects[0]
        self._suspects.remove(stream)
        if was_tried:
            self._try_next()

    def _try_next(self) -> None:
        if self._up and self._suspects:
            self._begin(self._suspects[0])
