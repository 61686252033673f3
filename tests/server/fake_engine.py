"""An engine for tests: gives tokens as a script says, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

from portico.errors import EngineError
from portico.protocol.messages import Add, EngineStats, Loaded, Loading, TokenEvent

LOADED = Loaded(
    max_model_len=256,
    max_num_seqs=8,
    max_num_batched_tokens=512,
    max_prefill_beside_decodes=256,
    block_size=16,
    num_blocks=64,
    vocab_size=402,
    hidden_size=8,
    device="cpu",
    dtype="float32",
    threads=1,
    kernels="torch",
    load_seconds=0.0,
)


class Gate:
    """Stands in a script where the engine is to wait until a test opens it, from whatever thread."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.reached = threading.Event()

    def open(self) -> None:
        self._open.set()

    async def wait(self, dropped: Callable[[], bool] = lambda: False) -> None:
        """Until it is open, or the request that stands at it is dropped."""
        self.reached.set()
        while not self._open.is_set() and not dropped():
            await asyncio.sleep(0.002)


Step = list[TokenEvent] | Gate | Exception
Script = Callable[[Add], Iterable[Step]]


def say(token_ids: list[int], finish: str = "stop", per_step: int = 1) -> Script:
    """Every choice of a request gives these tokens; the stop token itself is not among them."""

    def script(add: Add) -> Iterable[Step]:
        for start in range(0, len(token_ids), per_step):
            part = token_ids[start : start + per_step]
            last = finish if finish != "stop" and start + per_step >= len(token_ids) else None
            yield [TokenEvent(add.request_id, choice, part, last) for choice in range(add.n)]
        if finish == "stop":
            yield [TokenEvent(add.request_id, choice, [], "stop") for choice in range(add.n)]

    return script


def echo(add: Add) -> Iterable[Step]:
    """Each choice repeats the prompt, as far as max_tokens lets it."""
    ids = add.prompt_ids[: add.params.max_tokens]
    return say(ids, "length" if len(ids) == add.params.max_tokens else "stop")(add)


@dataclass
class FakeEngine:
    """Implements EngineClient; lists are appended to in the server's thread and read in the test's."""

    script: Script = echo
    limits: Loaded | None = LOADED
    why_failed: str | None = None
    added: list[Add] = field(default_factory=list)
    cancelled: list[tuple[str, int | None]] = field(default_factory=list)
    running: set[str] = field(default_factory=set)
    changed: threading.Condition = field(default_factory=threading.Condition)

    async def submit(self, add: Add) -> AsyncIterator[list[TokenEvent]]:
        with self.changed:
            self.added.append(add)
            self.running.add(add.request_id)
            self.changed.notify_all()
        alive = set(range(add.n))
        try:
            for step in self.script(add):
                await asyncio.sleep(0)
                if isinstance(step, Gate):
                    await step.wait(lambda: (add.request_id, None) in self.cancelled)
                    if (add.request_id, None) in self.cancelled:
                        alive.clear()
                        break
                elif isinstance(step, Exception):
                    raise step
                else:
                    dropped = {choice for request_id, choice in self.cancelled if request_id == add.request_id}
                    alive = set() if None in dropped else alive - dropped
                    events = [event for event in step if event.choice in alive]
                    alive -= {event.choice for event in events if event.finish is not None}
                    if events:
                        yield events
                    if not alive:
                        break
        finally:
            with self.changed:
                if alive:
                    self.cancelled.append((add.request_id, None))
                self.running.discard(add.request_id)
                self.changed.notify_all()

    async def cancel(self, request_id: str, choice: int | None = None) -> None:
        with self.changed:
            self.cancelled.append((request_id, choice))
            self.changed.notify_all()

    @property
    def loaded(self) -> Loaded:
        if self.why_failed is not None:
            raise EngineError(f"The engine is not running: {self.why_failed}", status=503, code="engine_dead")
        if self.limits is None:
            raise EngineError("The model is being loaded; try again in a moment.", status=503, code="engine_loading")
        return self.limits

    @property
    def stats(self) -> EngineStats | None:
        return None

    @property
    def restarts(self) -> int:
        return 0

    @property
    def pid(self) -> int:
        return os.getpid()

    @property
    def loading(self) -> Loading | None:
        if self.limits is not None or self.why_failed is not None:
            return None
        return Loading("reading the weights", 0.42)

    def on_step(self, listener: Callable[[EngineStats], None]) -> None:
        """It makes no steps."""

    def failure(self) -> str | None:
        return self.why_failed

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait in a test's thread until something is true of the lists."""
        with self.changed:
            assert self.changed.wait_for(condition, timeout=20), "the engine never got there"
