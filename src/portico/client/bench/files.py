"""Prompts from files: JSON lines, or ShareGPT's JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from portico.client.bench.record import Conversation, Turn

PEOPLE = ("human", "user")
FORMS = (
    'a string, {"prompt": "..."}, {"messages": [...]} or {"conversations": [{"from": "human", "value": "..."}, ...]}'
)


def read_prompts(path: Path, output_len: int, turns: int = 1) -> list[Conversation]:
    """What a file asks, each with up to `turns` turns; answers are `output_len` tokens long where it says nothing else.

    A file is a JSON list, or JSON a line. Of {"conversations"} the turns of the person are asked one after the other.
    Raises ValueError that names the place, and OSError.
    """
    found = [_conversation(where, item, output_len, turns) for where, item in _items(path)]
    asked = [conversation for conversation in found if conversation]
    if not asked:
        raise ValueError(f"{path}: there is no prompt in it")
    return asked


def _items(path: Path) -> Iterator[tuple[str, Any]]:
    text = path.read_text(encoding="utf-8")
    if text.lstrip().startswith("["):
        try:
            items = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: not JSON: {error}") from error
        yield from ((f"{path}: item {number}", item) for number, item in enumerate(items))
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            yield where, json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{where}: not JSON: {error}") from error


def _conversation(where: str, item: Any, output_len: int, turns: int) -> Conversation:
    if isinstance(item, str):
        return [Turn(item, output_len)]
    if not isinstance(item, dict):
        raise ValueError(f"{where}: {item!r:.80} is no prompt; it must be {FORMS}")
    wanted = item.get("output_len", item.get("max_tokens", output_len))
    if not isinstance(wanted, int) or wanted < 1:
        raise ValueError(f"{where}: the length of the answer is {wanted!r:.80}; it must be a whole number from 1")
    if isinstance(item.get("prompt"), str):
        return [Turn(item["prompt"], wanted)]
    messages = item.get("messages")
    if isinstance(messages, list) and messages and all(isinstance(message, dict) for message in messages):
        return [Turn(messages, wanted)]
    said = item.get("conversations", item.get("conversation"))
    if isinstance(said, list) and all(isinstance(part, dict) for part in said):
        texts = [part.get("value") for part in said if part.get("from") in PEOPLE]
        return [Turn(text, wanted) for text in texts[:turns] if isinstance(text, str) and text]
    raise ValueError(f"{where}: there is no prompt; it must be {FORMS}")
