"""Messages as clients send them, made into what chat templates expect."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from portico.errors import RequestError

_REASONING_NAMES = ("reasoning_content", "thinking", "reasoning")


@dataclass(frozen=True, slots=True)
class Taste:
    """What one template wants messages to look like."""

    parts: bool = False
    """Content in parts stays so; otherwise the texts are joined."""
    developer: bool = False
    """It knows this role, the newer name of system."""
    arguments_as_text: bool = False
    """Arguments of calls are JSON text; otherwise objects."""
    bare_call: Literal["absent", "none", "empty"] = "absent"
    """What the content of a message is that is only calls."""


def plain_message(index: int, message: Mapping[str, Any], taste: Taste) -> dict[str, Any]:
    """A message for a template of that taste; RequestError for a part that is no text."""
    plain = {name: value for name, value in message.items() if value is not None}  # as transformers does
    if plain.get("role") == "developer" and not taste.developer:
        plain["role"] = "system"
    content = plain.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str):
        texts = [_part_text(part, f"messages.{index}.content.{place}") for place, part in enumerate(content)]
        plain["content"] = [dict(part) for part in content] if taste.parts else "".join(texts)
    elif content is None and (not plain.get("tool_calls") or taste.bare_call != "absent"):
        plain["content"] = None if plain.get("tool_calls") and taste.bare_call == "none" else ""
    if plain.get("tool_calls"):
        plain["tool_calls"] = [_tool_call(call, taste.arguments_as_text) for call in plain["tool_calls"]]
    reasoning = next((plain[name] for name in _REASONING_NAMES if plain.get(name)), None)
    if reasoning is not None:  # under each name that some template reads
        plain = {"thinking": reasoning, "reasoning": reasoning, **plain, "reasoning_content": reasoning}
    return plain


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message's content, its parts joined; empty if it has none."""
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))


def _part_text(part: Any, where: str) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind != "text":
        raise RequestError(
            f"{where}.type is {kind!r}; this model reads only parts of type 'text'.",
            param=f"{where}.type",
            code="unsupported_content",
        )
    text = part.get("text")
    if not isinstance(text, str):
        raise RequestError(f"{where}.text must be a string.", param=f"{where}.text", code="invalid_value")
    return text


def _tool_call(call: Mapping[str, Any], as_text: bool) -> dict[str, Any]:
    """OpenAI sends a call's arguments as JSON text; most templates print an object. Broken JSON stays as it is."""
    function = call.get("function")
    if not isinstance(function, Mapping) or "arguments" not in function:
        return dict(call)
    arguments = function["arguments"]
    if isinstance(arguments, str) and not as_text:
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            return dict(call)
    elif not isinstance(arguments, str) and as_text:
        arguments = json.dumps(arguments, ensure_ascii=False)
    return {**call, "function": {**function, "arguments": arguments}}
