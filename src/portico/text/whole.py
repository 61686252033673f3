"""What a choice gave, put together from its events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from portico.protocol.events import FinishReason, ReasoningDelta, TextDelta, TokenInfo, ToolCallDelta


@dataclass(slots=True)
class ToolCall:
    """A call of a tool."""

    id: str
    name: str
    arguments: str = ""
    """JSON text."""


@dataclass(slots=True)
class WholeChoice:
    """Everything a choice gave."""

    text: str = ""
    reasoning: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    tokens: list[TokenInfo] = field(default_factory=list)
    """Where the request asked for log-probabilities."""
    token_ids: Sequence[int] = ()
    """Where they are to be told."""
    reason: FinishReason = "stop"

    def add(self, event: TextDelta | ReasoningDelta | ToolCallDelta) -> None:
        """One more event of this choice."""
        self.tokens += event.tokens
        match event:
            case TextDelta(text=text):
                self.text += text
            case ReasoningDelta(text=text):
                self.reasoning += text
            case ToolCallDelta(id=str(call_id), name=str(name)):
                self.calls.append(ToolCall(call_id, name))
            case ToolCallDelta(index=index, arguments=arguments):
                self.calls[index].arguments += arguments
