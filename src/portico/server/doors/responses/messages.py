"""Items of a conversation as the messages that chat templates know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portico.server.doors.responses.freeform import arguments_of
from portico.server.doors.responses.items import Item, reasoning_text
from portico.server.doors.responses.tools import shown_name
from portico.server.wording import wrong

Message = dict[str, Any]
_ABOVE = ("system", "developer")


def messages_of(items: Sequence[Item], instructions: str | None) -> list[Message]:
    """The conversation; RequestError for a result of a call that nobody made.

    What an assistant thought, said and called in a row is one message. Instructions and the system's or developer's
    messages that begin the conversation are one too: most templates read only the first.
    """
    messages: list[Message] = []
    called: set[str] = set()
    for item in items:
        match item["type"]:
            case "message" if item["role"] == "assistant":
                _say(_turn(messages, unless="content"), _text(item["content"]))
            case "message":
                messages.append({"role": item["role"], "content": _text(item["content"])})
            case "reasoning":
                if thought := reasoning_text(item):
                    turn = _turn(messages, unless="content")
                    turn["reasoning_content"] = turn.get("reasoning_content", "") + thought
            case "function_call" | "custom_tool_call":
                called.add(item["call_id"])
                _turn(messages).setdefault("tool_calls", []).append(_call(item))
            case "function_call_output" | "custom_tool_call_output":
                _check_called(item, called)
                messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": _output(item)})
    return _begin_as_one(messages, instructions)


def _turn(messages: list[Message], unless: str = "") -> Message:
    """The assistant's turn that goes on; a new one if it has this field already, and no calls that wait for results."""
    last = messages[-1] if messages else None
    if last is None or last["role"] != "assistant" or (last.get(unless) is not None and not last.get("tool_calls")):
        last = {"role": "assistant", "content": None}
        messages.append(last)
    return last


def _say(turn: Message, text: str) -> None:
    turn["content"] = (turn["content"] or "") + text


def _call(item: Item) -> Mapping[str, Any]:
    arguments = item["arguments"] if item["type"] == "function_call" else arguments_of(item["input"])
    name = shown_name(item.get("namespace"), item["name"])
    return {"id": item["call_id"], "type": "function", "function": {"name": name, "arguments": arguments}}


def _check_called(item: Item, called: set[str]) -> None:
    if item["call_id"] not in called:
        raise wrong("input", f"has the output of a call {item['call_id']!r:.80}, and no such call before it")


def _output(item: Item) -> str:
    return item["output"] if isinstance(item["output"], str) else _text(item["output"])


def _text(parts: Sequence[Mapping[str, Any]]) -> str:
    return "".join(part["refusal"] if part["type"] == "refusal" else part["text"] for part in parts)


def _begin_as_one(messages: list[Message], instructions: str | None) -> list[Message]:
    count = next((place for place, message in enumerate(messages) if message["role"] not in _ABOVE), len(messages))
    above = [*([instructions] if instructions else []), *(message["content"] for message in messages[:count])]
    if len(above) < 2 and not instructions:
        return messages
    return [{"role": "system", "content": "\n\n".join(above)}, *messages[count:]]
