"""An answer while it is made."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from portico.errors import RequestError
from portico.protocol.events import Failure, Finish, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from portico.server.doors.messages.errors import error_fields
from portico.server.doors.messages.output import PING, Event, Output
from portico.server.sse import named_event
from portico.text.pipeline import Pipeline, Prepared


@dataclass(slots=True)
class Run:
    """One message on its way; its events can be asked for once."""

    pipeline: Pipeline
    prepared: Prepared
    output: Output
    message_id: str
    model: str
    max_tokens: int
    """As asked for; the context may have room for fewer."""
    request_id: str
    """As errors tell it."""

    async def events(self) -> AsyncGenerator[Event, None]:
        """All of it, as it is made; raises the error of one that failed."""
        yield {"type": "message_start", "message": self._begun()}
        usage, finish = Usage(0, 0, 0), Finish(0, "stop")
        async with aclosing(self.pipeline.run(self.prepared)) as events:
            async for event in events:
                match event:
                    case TextDelta() | ReasoningDelta() | ToolCallDelta():
                        for made in self.output.take(event):
                            yield made
                    case Finish():
                        finish = event
                    case Usage():
                        usage = event
                    case Failure(error):
                        raise error
        for made in self.output.end():
            yield made
        yield {"type": "message_delta", "delta": self._ending(finish), "usage": usage_fields(usage)}
        yield {"type": "message_stop"}

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The same as server-sent events; an error is the last of them."""
        try:
            async with aclosing(self.events()) as events:
                async for event in events:
                    yield _encoded(event)
        except RequestError as error:
            yield self.broken(error)

    async def whole(self) -> dict[str, Any]:
        """The message, put together from its events; raises the error of one that failed."""
        message = self._begun()
        async with aclosing(self.events()) as events:
            async for event in events:
                if event["type"] == "message_delta":
                    message |= event["delta"]
                    message["usage"] |= event["usage"]
        return {**message, "content": self.output.content}

    def broken(self, error: RequestError) -> bytes:
        """The end of a stream that cannot go on."""
        return _encoded(error_fields(error, self.request_id))

    def beat(self) -> bytes:
        """What a stream says where nothing came for long."""
        return _encoded(PING)

    def _begun(self) -> dict[str, Any]:
        """A message of which nothing is made yet; how much of the prompt is cached is known when it has been read."""
        return {
            "id": self.message_id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**usage_fields(Usage(len(self.prepared.add.prompt_ids), 0, 0)), "service_tier": "standard"},
        }

    def _ending(self, finish: Finish) -> dict[str, Any]:
        match finish.reason:
            case "tool_calls":
                reason = "tool_use"
            case "length":
                is_cut = self.prepared.add.params.max_tokens < self.max_tokens
                reason = "model_context_window_exceeded" if is_cut else "max_tokens"
            case "stop":
                reason = "end_turn" if finish.stop is None else "stop_sequence"
        return {"stop_reason": reason, "stop_sequence": finish.stop if reason == "stop_sequence" else None}


def usage_fields(usage: Usage) -> dict[str, Any]:
    """What the message has cost."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        # Nothing is written to a cache that has to be asked for or paid.
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def _encoded(event: Event) -> bytes:
    return named_event(event["type"], event)
