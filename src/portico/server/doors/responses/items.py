"""The input of a response as items, each of them whole: with its type, an id and parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from portico.errors import RequestError
from portico.server.doors.responses.ids import PREFIXES, item_id
from portico.server.sealing import unsealed
from portico.server.wording import wrong

Item = dict[str, Any]
Find = Callable[[str], Awaitable[Item | None]]
"""The item of that id in what is kept; None: there is none."""

ROLES = ("user", "assistant", "system", "developer")
TEXTS = ("input_text", "output_text", "text", "summary_text", "reasoning_text")
"""Types of parts that hold a text."""
STRINGS: Mapping[str, tuple[str, ...]] = {
    "function_call": ("call_id", "name", "arguments"),
    "custom_tool_call": ("call_id", "name", "input"),
    "function_call_output": ("call_id",),
    "custom_tool_call_output": ("call_id",),
}
"""Fields that must be strings."""


async def read_items(given: str | Sequence[Item] | None, response: str, find: Find) -> list[Item]:
    """The items of an input, with ids of this response where they have none; RequestError for one that cannot be read.

    A reference stands for the item that it refers to.
    """
    if given is None:
        raise RequestError("input is missing.", param="input", code="missing_required_parameter")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    items = []
    for place, whole in enumerate(given):
        where = f"input.{place}"
        item = {name: value for name, value in whole.items() if value is not None}
        kind = item.get("type") or ("message" if "role" in item else "item_reference")
        if kind == "item_reference":
            items.append(await _referred(item, where, find))
            continue
        if kind not in PREFIXES:
            raise wrong(
                f"{where}.type", f"is {kind!r:.80}; it must be one of {', '.join((*PREFIXES, 'item_reference'))}"
            )
        made = _id(item, where) or item_id(kind, response, place, given=True)
        items.append(_read(kind, item, made, where))
    return items


def reasoning_text(item: Mapping[str, Any]) -> str:
    """What was thought, by whatever of its forms the item has; empty where none of them can be read."""
    return _joined(item.get("content")) or unsealed(item.get("encrypted_content")) or _joined(item.get("summary"))


def _joined(parts: Sequence[Item] | None) -> str:
    return "".join(part["text"] for part in parts or ())


async def _referred(item: Item, where: str, find: Find) -> Item:
    name = item.get("id")
    found = await find(name) if isinstance(name, str) else None
    if found is None:
        raise RequestError(
            f"{where}.id is {name!r:.80}; no kept response has such an item.",
            param=f"{where}.id",
            code="item_not_found",
        )
    return found


def _id(item: Item, where: str) -> str | None:
    name = item.get("id")
    if not isinstance(name, str | None):
        raise wrong(f"{where}.id", "must be a string", "invalid_type")
    return name


def _read(kind: str, item: Item, made: str, where: str) -> Item:
    for field in STRINGS.get(kind, ()):
        if not isinstance(item.get(field), str):
            raise wrong(f"{where}.{field}", f"is {item.get(field)!r:.80}; it must be a string", "invalid_type")
    match kind:
        case "message":
            return _message(item, made, where)
        case "reasoning":
            parts = {name: _parts(item.get(name) or [], f"{where}.{name}") for name in ("summary", "content")}
            return {**item, "type": kind, "id": made, **parts}
        case "additional_tools":
            if not isinstance(item.get("tools"), list) or not all(isinstance(tool, dict) for tool in item["tools"]):
                raise wrong(f"{where}.tools", "must be a list of tools", "invalid_type")
            return {**item, "type": kind, "id": made}
        case "function_call_output" | "custom_tool_call_output":
            output = item.get("output")
            if not isinstance(output, str):
                output = _parts(output, f"{where}.output")
            return {"status": "completed", **item, "id": made, "output": output}
    return {"status": "completed", **item, "id": made}


def _message(item: Item, made: str, where: str) -> Item:
    role, content = item.get("role"), item.get("content")
    if role not in ROLES:
        raise wrong(f"{where}.role", f"is {role!r:.80}; it must be one of {', '.join(ROLES)}")
    if isinstance(content, str):
        content = [{"type": "input_text" if role != "assistant" else "output_text", "text": content}]
    parts = _parts(content, f"{where}.content")
    if role == "assistant":
        parts = [{"annotations": [], **part} if part["type"] == "output_text" else part for part in parts]
    return {"status": "completed", **item, "type": "message", "id": made, "content": parts}


def _parts(parts: Any, where: str) -> list[Item]:
    if not isinstance(parts, list):
        raise wrong(where, f"is {parts!r:.80}; it must be a text or a list of parts", "invalid_type")
    for place, part in enumerate(parts):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in (*TEXTS, "refusal"):
            raise wrong(
                f"{where}.{place}.type",
                f"is {kind!r:.80}; this model reads text alone: {', '.join(TEXTS[:2])}",
                "unsupported_content",
            )
        name = "refusal" if kind == "refusal" else "text"
        if not isinstance(part.get(name), str):
            raise wrong(f"{where}.{place}.{name}", "must be a string", "invalid_type")
    return list(parts)
