"""A conversation that the person's side keeps: turns, system prompt, settings; saved, loaded and taken back."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portico.client.answers import Answer, Message
from portico.client.settings import read_setting


@dataclass(slots=True)
class Totals:
    """What the answers of a conversation came to."""

    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Conversation:
    """What has been said, and how to ask for what comes next."""

    model: str
    system: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    tools: list[dict[str, Any]] = field(default_factory=list)
    turns: list[Message] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)

    def messages(self) -> list[Message]:
        """All of it, the system prompt first."""
        return [*([{"role": "system", "content": self.system}] if self.system else []), *self.turns]

    def fields(self) -> dict[str, Any]:
        """What a request says beside model and messages."""
        return {**self.settings, **({"tools": self.tools} if self.tools else {})}

    def open_call(self) -> Mapping[str, Any] | None:
        """The first tool call that has no result yet."""
        answered = set()
        for turn in reversed(self.turns):
            if turn["role"] == "tool":
                answered.add(turn["tool_call_id"])
            else:
                return next((c for c in turn.get("tool_calls", ()) if c["id"] not in answered), None)
        return None

    def say(self, text: str) -> None:
        """A turn of the person; the result of a tool if one is waited for."""
        call = self.open_call()
        if call is None:
            self.turns.append({"role": "user", "content": text})
        else:
            self.turns.append({"role": "tool", "tool_call_id": call["id"], "content": text})

    def hear(self, answer: Answer) -> None:
        """A turn of the model, whole or broken off; a call that was broken off is left out."""
        kept = answer.message()
        if answer.finish_reason is None and kept.pop("tool_calls", None):
            kept["content"] = answer.text
        if kept["content"] or kept.get("tool_calls") or kept.get("reasoning_content"):
            self.turns.append(kept)
        self.totals.answers += 1
        self.totals.prompt_tokens += answer.prompt_tokens or 0
        self.totals.completion_tokens += answer.completion_tokens or answer.pieces
        self.totals.seconds += max(0.0, answer.last - answer.asked)

    def undo(self) -> str | None:
        """Take back the last thing the person said and all that came after; the text, None if there is none."""
        for place in range(len(self.turns) - 1, -1, -1):
            if self.turns[place]["role"] in ("user", "tool"):
                text = str(self.turns[place]["content"])
                del self.turns[place:]
                return text
        return None

    def reset(self) -> None:
        """Forget what was said; system prompt, tools and settings stay."""
        self.turns.clear()
        self.totals = Totals()


def as_json(conversation: Conversation) -> str:
    """A conversation as a file that `from_json` reads; its fields are those of a request."""
    body = {"model": conversation.model, "messages": conversation.messages(), **conversation.fields()}
    return json.dumps(body, ensure_ascii=False, indent=2) + "\n"


def as_markdown(conversation: Conversation) -> str:
    """A conversation to read."""
    names = {"system": "System", "user": "You", "assistant": conversation.model, "tool": "Result of the tool"}
    parts = []
    for message in conversation.messages():
        lines = [f"## {names[message['role']]}"]
        if thought := message.get("reasoning_content"):
            lines.append("\n".join(f"> {line}".rstrip() for line in thought.strip().splitlines()))
        if message["content"]:
            lines.append(message["content"].strip())
        lines += [f"`{c['function']['name']}({c['function']['arguments']})`" for c in message.get("tool_calls", ())]
        parts.append("\n\n".join(lines))
    return "\n\n".join(parts) + "\n"


def save(conversation: Conversation, path: Path) -> None:
    """Write it, readable by its owner only: Markdown if the name ends in .md, else JSON; OSError if it cannot be."""
    text = as_markdown(conversation) if path.suffix in (".md", ".markdown") else as_json(conversation)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(text)


def load(path: Path, model: str) -> Conversation:
    """One that was saved as JSON, to go on with `model`; OSError, or ValueError saying what is wrong with the file."""
    body = json.loads(path.read_text(encoding="utf-8"))
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not all(map(_is_message, messages)):
        raise ValueError("it must be JSON with 'messages', each with 'role' and 'content', as /save FILE.json writes")
    system = ""
    if messages and messages[0]["role"] == "system":
        system = str(messages[0]["content"])
        messages = messages[1:]
    named = {name: value for name, value in body.items() if name not in ("model", "messages", "tools")}
    settings = dict(read_setting(name, _text(value)) for name, value in named.items())
    return Conversation(model, system, settings, read_tools(body.get("tools", [])), messages)


def read_tools(value: Any) -> list[dict[str, Any]]:
    """Tools as a request has them, a list of functions or one; ValueError if it is something else."""
    tools = [value] if isinstance(value, dict) else value
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise ValueError('tools must be a JSON list of {"type": "function", "function": {"name": …}}')
    wrapped = [tool if "function" in tool else {"type": "function", "function": tool} for tool in tools]
    if not all(isinstance(tool["function"], dict) and tool["function"].get("name") for tool in wrapped):
        raise ValueError("each tool must have a 'function' with a 'name'")
    return wrapped


def _is_message(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("role") not in ("system", "user", "assistant", "tool"):
        return False
    content = value.get("content")
    return isinstance(content, str) or (content is None and bool(value.get("tool_calls")))


def _text(value: Any) -> str:
    return str(value[0] if isinstance(value, Sequence) and not isinstance(value, str) and value else value)
