"""Anthropic's system prompt and messages as the messages that chat templates know."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from portico.server.sealing import unsealed
from portico.server.wording import wrong

Block = Mapping[str, Any]
Message = dict[str, Any]

BILLING = "x-anthropic-billing-header:"
"""Begins a line that a coding client puts before all else, and that is another in each of its conversations."""
BLOCKS: Mapping[str, tuple[str, ...]] = {
    "system": ("text",),
    "user": ("text", "tool_result"),
    "assistant": ("text", "tool_use", "thinking", "redacted_thinking"),
}
"""What each role's messages may hold."""


def messages_of(system: str | Sequence[Block] | None, given: Sequence[Block]) -> list[Message]:
    """The conversation; RequestError for a block that cannot be read, or the result of a call that nobody made.

    Turns of one role in a row are one, their texts and those of several blocks with an empty line between them.
    """
    messages: list[Message] = []
    for place, text in enumerate(_texts(system or (), "system")):
        _say(messages, "system", _without_billing(text) if place == 0 else text)
    called: set[str] = set()
    for place, message in enumerate(given):
        role, where = message.get("role"), f"messages.{place}"
        if not isinstance(role, str) or role not in BLOCKS:
            raise wrong(f"{where}.role", f"is {role!r:.80}; it must be user, assistant or system")
        blocks = list(_blocks(message.get("content"), f"{where}.content", BLOCKS[role]))
        # Results come first in a turn: templates want them behind the calls.
        for spot, block in sorted(blocks, key=lambda found: found[1]["type"] != "tool_result"):
            _add(messages, role, block, spot, called)
        if not blocks:
            _turn(messages, role)
    return messages


def _add(messages: list[Message], role: str, block: Block, where: str, called: set[str]) -> None:
    match block["type"]:
        case "text":
            _say(messages, role, _string(block, "text", where))
        case "thinking":
            thought = _string(block, "thinking", where) or unsealed(block.get("signature"))
            turn = _turn(messages, role)
            turn["reasoning_content"] = turn.get("reasoning_content", "") + thought
        case "redacted_thinking":
            _turn(messages, role)
        case "tool_use":
            call = _call(block, where)
            called.add(call["id"])
            _turn(messages, role).setdefault("tool_calls", []).append(call)
        case "tool_result":
            made = _string(block, "tool_use_id", where)
            if made not in called:
                raise wrong(f"{where}.tool_use_id", f"is {made!r:.80}, and no tool_use before it has this id")
            messages.append({"role": "tool", "tool_call_id": made, "content": _result(block, where)})


def _turn(messages: list[Message], role: str) -> Message:
    """The turn of this role that goes on, else a new one."""
    if not messages or messages[-1]["role"] != role:
        messages.append({"role": role, "content": ""})
    return messages[-1]


def _say(messages: list[Message], role: str, text: str) -> None:
    if not text and role == "system":
        return
    turn = _turn(messages, role)
    turn["content"] = "\n\n".join(filter(None, (turn["content"], text)))


def _call(block: Block, where: str) -> Mapping[str, Any]:
    given = block.get("input")
    if not isinstance(given, Mapping):
        raise wrong(f"{where}.input", f"is {given!r:.80}; it must be an object", "invalid_type")
    function = {"name": _string(block, "name", where), "arguments": json.dumps(given, ensure_ascii=False)}
    return {"id": _string(block, "id", where), "type": "function", "function": function}


def _result(block: Block, where: str) -> str:
    """What a tool gave; templates have no other place to say that it is an error."""
    text = "\n\n".join(_texts(block.get("content") or "", f"{where}.content"))
    return f"Error: {text}" if block.get("is_error") else text


def _texts(content: Any, where: str) -> Iterator[str]:
    for spot, block in _blocks(content, where, ("text",)):
        yield _string(block, "text", spot)


def _blocks(content: Any, where: str, kinds: Sequence[str]) -> Iterator[tuple[str, Block]]:
    """The blocks of a content and their places; RequestError for what is none of these."""
    if isinstance(content, str):
        yield where, {"type": "text", "text": content}
        return
    if not isinstance(content, Sequence):
        raise wrong(where, f"is {content!r:.80}; it must be a text or a list of blocks", "invalid_type")
    for place, block in enumerate(content):
        kind = block.get("type") if isinstance(block, Mapping) else None
        if kind not in kinds:
            more = "; this model reads text alone" if kind in ("image", "document") else ""
            raise wrong(
                f"{where}.{place}.type",
                f"is {kind!r:.80}; here it must be {' or '.join(kinds)}{more}",
                "unsupported_content",
            )
        yield f"{where}.{place}", block


def _string(block: Block, name: str, where: str) -> str:
    value = block.get(name)
    if not isinstance(value, str):
        raise wrong(f"{where}.{name}", f"is {value!r:.80}; it must be a string", "invalid_type")
    return value


def _without_billing(text: str) -> str:
    """A prompt that begins otherwise each time is never found in the prefix cache."""
    line, _, rest = text.partition("\n")
    return rest.lstrip("\n") if line.startswith(BILLING) else text
