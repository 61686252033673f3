"""Between the page's list of bubbles and the turns of a conversation."""

from __future__ import annotations

import base64
import json
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from portico.client.answers import Answer, Call, Message

THINKING = "Thinking"
THOUGHT = "Thought"
TROUBLE = "No answer"
CALL = "Call of "

Bubble = dict[str, Any]


def bubbles(answer: Answer, *, done: bool) -> list[Bubble]:
    """An answer as far as it has come: what was thought, what was said, the calls."""
    shown: list[Bubble] = []
    if answer.reasoning:
        thinking = answer.thought is None and not done
        metadata: dict[str, Any] = {
            "title": THINKING if thinking else THOUGHT,
            "status": "pending" if thinking else "done",
        }
        if answer.first is not None and not thinking:
            metadata["duration"] = round((answer.thought or answer.last) - answer.first, 1)
        shown.append({"role": "assistant", "content": answer.reasoning, "metadata": metadata})
    if answer.text:
        shown.append({"role": "assistant", "content": answer.text})
    shown += [_call(call) for call in answer.calls]
    return shown


def trouble(text: str) -> Bubble:
    """An error where the answer would be."""
    return {"role": "assistant", "content": f"{text[:1].upper()}{text[1:]}", "metadata": {"title": TROUBLE}}


def turns(history: Sequence[Mapping[str, Any]], said: str, files: Sequence[str] = ()) -> list[Message]:
    """The conversation with what is said now, without errors and thoughts; what follows a call is its result."""
    conversation: list[Message] = []
    for bubble in history:
        text, title = _text(bubble["content"]), (bubble.get("metadata") or {}).get("title") or ""
        if bubble["role"] == "user":
            _said(conversation, text)
        elif title.startswith(CALL):
            _assistant(conversation).setdefault("tool_calls", []).append(
                _called(bubble, title, text, len(conversation))
            )
        elif not title:
            turn = _assistant(conversation)
            turn["content"] = (turn["content"] or "") + text
    _said(conversation, said)
    if files:
        parts = [{"type": "image_url", "image_url": {"url": _data_url(Path(path))}} for path in files]
        conversation[-1]["content"] = [*parts, {"type": "text", "text": said}]
    return _alternating(conversation)


def _call(call: Call) -> Bubble:
    try:
        arguments = json.dumps(json.loads(call.arguments or "{}"), ensure_ascii=False, indent=2)
    except ValueError:
        arguments = call.arguments
    fence = "```"
    while fence in arguments:
        fence += "`"
    metadata = {"title": f"{CALL}{call.name}", "id": call.id or "call"}  # with a status it would be shut
    return {"role": "assistant", "content": f"{fence}json\n{arguments}\n{fence}", "metadata": metadata}


def _called(bubble: Mapping[str, Any], title: str, text: str, place: int) -> dict[str, Any]:
    arguments = "\n".join(text.strip().split("\n")[1:-1])
    id = str(bubble["metadata"].get("id") or f"call-{place}")
    return {"id": id, "type": "function", "function": {"name": title.removeprefix(CALL), "arguments": arguments}}


def _assistant(conversation: list[Message]) -> Message:
    if not conversation or conversation[-1]["role"] != "assistant":
        conversation.append({"role": "assistant", "content": ""})
    return conversation[-1]


def _said(conversation: list[Message], text: str) -> None:
    calls = conversation[-1].get("tool_calls") if conversation else None
    if calls:
        conversation += [{"role": "tool", "tool_call_id": call["id"], "content": text} for call in calls]
    else:
        conversation.append({"role": "user", "content": text})


def _alternating(conversation: Iterable[Message]) -> list[Message]:
    """Without what got no answer: of turns of the person in a row the last."""
    kept: list[Message] = []
    for turn in conversation:
        if turn["role"] == "user" and kept and kept[-1]["role"] == "user":
            kept.pop()
        kept.append(turn)
    return kept


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    return "".join(part if isinstance(part, str) else str(part.get("text", "")) for part in parts if part)


def _data_url(path: Path) -> str:
    kind = mimetypes.guess_type(path.name)[0] or "image/png"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
