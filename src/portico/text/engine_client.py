"""What the text layer needs of an engine, wherever it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from portico.protocol.messages import Add, EngineStats, Loaded, Loading, TokenEvent


class EngineClient(Protocol):
    """The asynchronous side of an engine; all methods belong to one event loop."""

    def submit(self, add: Add) -> AsyncIterator[list[TokenEvent]]:
        """Start a request and yield its events until every choice has finished; closing it early cancels the rest."""
        ...

    async def cancel(self, request_id: str, choice: int | None = None) -> None:
        """Drop a request or one choice of it; no more events come for what is dropped."""
        ...

    @property
    def loaded(self) -> Loaded:
        """Limits of the running model; raises EngineError while it is being loaded and after the engine failed."""
        ...

    @property
    def stats(self) -> EngineStats | None:
        """Counts after the latest step; None before the first."""
        ...

    @property
    def restarts(self) -> int:
        """How many engines have been lost and replaced."""
        ...

    @property
    def pid(self) -> int:
        """The process id of the engine of the moment."""
        ...

    @property
    def loading(self) -> Loading | None:
        """How far an engine is that is not ready yet; None for one that is, or has failed."""
        ...

    def on_step(self, listener: Callable[[EngineStats], None]) -> None:
        """Call `listener` after each step, with the counts as they are then."""
        ...

    def failure(self) -> str | None:
        """Why the engine is not healthy, or None."""
        ...
