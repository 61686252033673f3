"""`functions` and `function_call`, OpenAI's first form of tools: made into tools, and calls back into the old form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from portico.errors import RequestError
from portico.protocol.events import ToolCallDelta
from portico.server.doors.openai.chunks import CHAT
from portico.server.wording import Names

OLD_NAMES: Names = (
    (re.compile(r"\btools\.(\d+)\.function\b"), r"functions.\1"),
    (re.compile(r"\btool_choice\.function\b"), "function_call"),
    (re.compile(r"\btools\b"), "functions"),
    (re.compile(r"\btool_choice\b"), "function_call"),
)
"""What the fields of tools are called in the old form."""


def tools_of(functions: Sequence[Any], call: str | Mapping[str, Any] | None) -> tuple[list[Any], Any]:
    """The tools and the tool_choice that say the same; RequestError for a function_call that has no meaning."""
    if call not in (None, "none", "auto") and not (isinstance(call, Mapping) and call.keys() == {"name"}):
        raise RequestError(
            f"function_call is {call!r:.100}; it must be none, auto or {{name: …}}.",
            param="function_call",
            code="invalid_value",
        )
    choice = {"type": "function", "function": call} if isinstance(call, Mapping) else call
    return [{"type": "function", "function": function} for function in functions], choice


def modern_messages(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages with calls and results of tools in place of those of functions, which have no ids."""
    modern = []
    call_id = _id(0)
    for place, message in enumerate(messages):
        if message["role"] == "function":
            message = {**message, "role": "tool", "tool_call_id": call_id}
        elif message.get("function_call") is not None:
            call_id = _id(place)
            call = {"id": call_id, "type": "function", "function": message["function_call"]}
            message = {
                **{name: value for name, value in message.items() if name != "function_call"},
                "tool_calls": [call],
            }
        modern.append(message)
    return modern


def _id(place: int) -> str:
    """Of nine letters and digits, as the strictest templates want it."""
    return f"call{place % 100_000:05d}"


def function_message(message: dict[str, Any]) -> dict[str, Any]:
    """An answer's message with its call in the old form."""
    calls = message.pop("tool_calls", ())
    return {**message, "function_call": calls[0]["function"]} if calls else message


def _delta(delta: ToolCallDelta) -> dict[str, Any]:
    named = {} if delta.name is None else {"name": delta.name}
    return {"function_call": {**named, "arguments": delta.arguments}}


FUNCTION_CHAT = replace(CHAT, call=_delta, called="function_call")
"""How chunks tell of calls in the old form."""
