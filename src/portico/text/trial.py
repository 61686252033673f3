"""What a chat template makes of tool calls and of their results: no template says so, so it is tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from jinja2.exceptions import SecurityError

from portico.errors import RequestError
from portico.text.messages import Taste, plain_message

_CALL = {"name": "look", "arguments": '{"needle": "hay"}'}
_RESULT = "found"
_TALK: tuple[Mapping[str, Any], ...] = (
    {"role": "user", "content": "Look."},
    # Mistral's templates want ids of nine letters and digits.
    {"role": "assistant", "content": None, "tool_calls": [{"id": "call00001", "type": "function", "function": _CALL}]},
    {"role": "tool", "tool_call_id": "call00001", "name": "look", "content": _RESULT},
)


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a small conversation with a call in it."""

    taste: Taste
    """How messages must come for calls to be printed as JSON."""
    calls: bool
    """Whether the template writes calls."""
    results: bool
    """Whether it writes what a tool gave back, and that it was a tool."""

    def check(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """RequestError for the first message of which the model would not see what it is."""
        for index, message in enumerate(messages):
            if message.get("tool_calls") and not self.calls:
                raise _unseen(f"messages.{index}.tool_calls", "tool calls")
            if message.get("role") == "tool" and not self.results:
                raise _unseen(f"messages.{index}.role", "messages of the role 'tool'")


def tried(source: str, taste: Taste, lay_out: Callable[[Sequence[Mapping[str, Any]]], str]) -> Trial:
    """Let the template of this source lay out a call in each of the forms that templates want."""
    found, said = _best(taste, lay_out)
    calls = "tool_calls" in source or "needle" in said
    # What fails on trial is left to the template's own words.
    results = "tool" in source or not said or ("tool" in said and _RESULT in said)
    return Trial(found, calls, results)


def _best(taste: Taste, lay_out: Callable[[Sequence[Mapping[str, Any]]], str]) -> tuple[Taste, str]:
    forms: tuple[Literal["absent", "none", "empty"], ...] = ("absent", "none", "empty")
    worked: list[tuple[Taste, str]] = []
    for other in (replace(taste, arguments_as_text=text, bare_call=form) for text in (False, True) for form in forms):
        try:
            said = lay_out([plain_message(index, message, other) for index, message in enumerate(_TALK)])
        except SecurityError:
            return taste, ""
        except Exception:  # whatever a program may raise
            continue
        if "None" in said or "'needle'" in said:
            continue
        if '"needle"' in said:
            return other, said
        worked.append((other, said))
    return worked[0] if worked else (taste, "")


def _unseen(field: str, what: str) -> RequestError:
    return RequestError(
        f"{field}: this model's chat template does not write {what}, so that the model would not see what they are; "
        "leave them out, or start the server with a --chat-template that does.",
        param=field,
        code="unsupported_content",
    )
