"""From the events of the text layer to the blocks of an answer and the events that tell of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic_core import from_json

from portico.protocol.events import ReasoningDelta, TextDelta, ToolCallDelta
from portico.server.sealing import sealed

Event = dict[str, Any]
Block = dict[str, Any]

PING: Event = {"type": "ping"}
SIGNATURE = "portico"
"""Of thinking that is shown: clients want one, and nothing depends on it."""


class Output:
    """The answer so far; its last block may be open."""

    def __init__(self, *, shows_thinking: bool) -> None:
        """Without `shows_thinking` its blocks have no text, and their signatures carry it."""
        self._shows_thinking = shows_thinking
        self.content: list[Block] = []
        self._open: Block | None = None
        self._written = ""
        """The open block's text or JSON."""
        self._space = ""
        """Whitespace that becomes part of a text only if one follows."""

    def take(self, event: TextDelta | ReasoningDelta | ToolCallDelta) -> Iterable[Event]:
        """What an event of the text layer adds."""
        match event:
            case TextDelta(text=text):
                yield from self._say(text)
            case ReasoningDelta(text=text) if text:
                if not self._is_open("thinking"):
                    yield from self._begin({"type": "thinking", "thinking": "", "signature": ""})
                if self._shows_thinking:
                    yield self._delta({"type": "thinking_delta", "thinking": text})
                self._written += text
            case ToolCallDelta(id=call_id, name=name, arguments=arguments):
                if name is not None:
                    yield from self._begin({"type": "tool_use", "id": call_id, "name": name, "input": {}})
                if arguments:
                    self._written += arguments
                    yield self._delta({"type": "input_json_delta", "partial_json": arguments})

    def end(self) -> Iterable[Event]:
        """The end of what is open; an answer that has nothing else is an empty text."""
        if not self.content:
            text = self._space
            yield from self._begin({"type": "text", "text": ""})
            yield from self._say(text)
        yield from self._close()

    def _say(self, text: str) -> Iterable[Event]:
        if not self._is_open("text"):
            self._space += text
            if not self._space.strip():
                return
            text = self._space
            yield from self._begin({"type": "text", "text": ""})
        if text:
            self._written += text
            yield self._delta({"type": "text_delta", "text": text})

    def _is_open(self, kind: str) -> bool:
        return self._open is not None and self._open["type"] == kind

    def _begin(self, block: Block) -> Iterable[Event]:
        yield from self._close()
        self._open, self._written, self._space = block, "", ""
        self.content.append(block)
        yield {"type": "content_block_start", "index": len(self.content) - 1, "content_block": dict(block)}
        if len(self.content) == 1:
            yield PING

    def _close(self) -> Iterable[Event]:
        block, self._open = self._open, None
        if block is None:
            return
        match block["type"]:
            case "text":
                block["text"] = self._written
            case "tool_use":
                block["input"] = _input(self._written or "{}")
            case "thinking":
                block["thinking"] = self._written if self._shows_thinking else ""
                block["signature"] = SIGNATURE if self._shows_thinking else sealed(self._written)
                yield self._delta({"type": "signature_delta", "signature": block["signature"]})
        yield {"type": "content_block_stop", "index": len(self.content) - 1}

    def _delta(self, delta: Event) -> Event:
        return {"type": "content_block_delta", "index": len(self.content) - 1, "delta": delta}


def _input(written: str) -> dict[str, Any]:
    """The arguments of a call, which may be cut off; what is no JSON in the form that Anthropic advises."""
    try:
        given = from_json(written, allow_partial=True)  # as their client reads a stream
    except ValueError:
        given = None
    return given if isinstance(given, dict) else {"INVALID_JSON": written}
