"""The items of an answer while they are made: each tells of its beginning, of what is added, and of its end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Protocol

from portico.server.doors.responses.freeform import InputReader
from portico.server.doors.responses.items import Item
from portico.server.doors.responses.tools import Tool
from portico.server.sealing import sealed

Event = dict[str, Any]
"""Without its sequence_number."""
Ending = Literal["completed", "incomplete"]


class Part(Protocol):
    """An item that is being made."""

    def begin(self) -> Iterable[Event]:
        """What tells that there is such an item."""
        ...

    def end(self, status: Ending) -> Iterable[Event]:
        """What tells that it is whole."""
        ...

    @property
    def item(self) -> Item:
        """What there is of it."""
        ...


class Message:
    """What the model says."""

    def __init__(self, name: str, place: int) -> None:
        self._place = {"item_id": name, "output_index": place, "content_index": 0}
        self._part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        self.item: Item = {"id": name, "type": "message", "status": "in_progress", "role": "assistant", "content": []}

    def begin(self) -> Iterable[Event]:
        """See `Part`."""
        yield _added(self.item, self._place)
        yield {"type": "response.content_part.added", **self._place, "part": {**self._part, "logprobs": []}}
        self.item["content"] = [self._part]

    def push(self, text: str, logprobs: list[Any]) -> Iterable[Event]:
        """More of it."""
        self._part["text"] += text
        self._part["logprobs"] += logprobs
        yield {"type": "response.output_text.delta", **self._place, "delta": text, "logprobs": logprobs}

    def end(self, status: Ending) -> Iterable[Event]:
        """See `Part`."""
        told = {"text": self._part["text"], "logprobs": self._part["logprobs"]}
        yield {"type": "response.output_text.done", **self._place, **told}
        yield {"type": "response.content_part.done", **self._place, "part": dict(self._part)}
        yield _done(self.item, self._place, status)


class Reasoning:
    """What the model thinks: as the content of its item, or, where a summary is asked for, as that."""

    def __init__(self, name: str, place: int, *, summary: bool, seal: bool) -> None:
        self._name = "reasoning_summary_text" if summary else "reasoning_text"
        self._parts = "reasoning_summary_part" if summary else "content_part"
        self._field = "summary" if summary else "content"
        self._place = {"item_id": name, "output_index": place, f"{self._field}_index": 0}
        self._part: dict[str, Any] = {"type": "summary_text" if summary else "reasoning_text", "text": ""}
        self._seal = seal
        self.item: Item = {"id": name, "type": "reasoning", "status": "in_progress", "summary": [], "content": []}

    def begin(self) -> Iterable[Event]:
        """See `Part`."""
        yield _added(self.item, self._place)
        yield {"type": f"response.{self._parts}.added", **self._place, "part": dict(self._part)}
        self.item[self._field] = [self._part]

    def push(self, text: str) -> Iterable[Event]:
        """More of it."""
        self._part["text"] += text
        yield {"type": f"response.{self._name}.delta", **self._place, "delta": text}

    def end(self, status: Ending) -> Iterable[Event]:
        """See `Part`."""
        if self._seal:
            self.item["encrypted_content"] = sealed(self._part["text"])
        yield {"type": f"response.{self._name}.done", **self._place, "text": self._part["text"]}
        yield {"type": f"response.{self._parts}.done", **self._place, "part": dict(self._part)}
        yield _done(self.item, self._place, status)


class Call:
    """A call of a tool."""

    def __init__(self, name: str, place: int, call_id: str, tool: Tool) -> None:
        self._place = {"item_id": name, "output_index": place}
        self._events = "response.custom_tool_call_input" if tool.freeform else "response.function_call_arguments"
        self._field = "input" if tool.freeform else "arguments"
        self._reader = InputReader() if tool.freeform else None
        kind = "custom_tool_call" if tool.freeform else "function_call"
        self.item: Item = {"id": name, "type": kind, "status": "in_progress", "call_id": call_id, "name": tool.name}
        if tool.namespace is not None:
            self.item["namespace"] = tool.namespace
        self.item[self._field] = ""

    def begin(self) -> Iterable[Event]:
        """See `Part`."""
        yield _added(self.item, self._place)

    def push(self, arguments: str) -> Iterable[Event]:
        """More of its arguments, as the model writes them."""
        return self.add(arguments if self._reader is None else self._reader.push(arguments))

    def add(self, text: str) -> Iterable[Event]:
        """More of its arguments or input, as the client reads them."""
        if text:
            self.item[self._field] += text
            yield {"type": f"{self._events}.delta", **self._place, "delta": text}

    def end(self, status: Ending) -> Iterable[Event]:
        """See `Part`."""
        if self._reader is not None:
            yield from self.add(self._reader.end())
        told = {"name": self.item["name"], self._field: self.item[self._field]}
        yield {"type": f"{self._events}.done", **self._place, **told}
        yield _done(self.item, self._place, status)


def retold(item: Item, place: int) -> Iterable[Event]:
    """The events of an item of an answer that was given earlier."""
    status: Ending = "completed" if item["status"] == "completed" else "incomplete"
    match item["type"]:
        case "message":
            message = Message(item["id"], place)
            yield from message.begin()
            for part in item["content"]:
                yield from message.push(part["text"], part["logprobs"])
            yield from message.end(status)
        case "reasoning":
            seal = "encrypted_content" in item
            thought = Reasoning(item["id"], place, summary=bool(item["summary"]), seal=seal)
            yield from thought.begin()
            for part in (*item["summary"], *item["content"]):
                yield from thought.push(part["text"])
            yield from thought.end(status)
        case kind:
            freeform = kind == "custom_tool_call"
            tool = Tool(item["name"], item.get("namespace"), freeform)
            call = Call(item["id"], place, item["call_id"], tool)
            yield from call.begin()
            yield from call.add(item["input" if freeform else "arguments"])
            yield from call.end(status)


def _added(item: Item, place: dict[str, Any]) -> Event:
    return {"type": "response.output_item.added", "output_index": place["output_index"], "item": dict(item)}


def _done(item: Item, place: dict[str, Any], status: Ending) -> Event:
    item["status"] = status
    return {"type": "response.output_item.done", "output_index": place["output_index"], "item": item}
