"""Tools and tool_choice as the text layer knows them, and their names back as the client knows them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from portico.errors import RequestError
from portico.server.doors.responses.freeform import as_function
from portico.server.wording import said_as_sent, wrong

LEFT_OUT = ("web_search", "web_search_2025_08_26", "web_search_preview", "image_generation", "tool_search")
"""Tools that a server of OpenAI's would run, and that coding agents offer unasked: the model is not shown them."""
_FUNCTION_FIELDS = ("name", "description", "parameters", "strict")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the model may call."""

    name: str
    namespace: str | None = None
    freeform: bool = False
    """Whether its input is a text instead of JSON arguments."""


@dataclass(slots=True)
class Toolset:
    """What a request offers."""

    functions: list[dict[str, Any]] = field(default_factory=list)
    """As chats have them."""
    places: list[str] = field(default_factory=list)
    """Where the request has each of them."""
    known: dict[str, Tool] = field(default_factory=dict)
    """By the names that the model sees."""
    ignored: list[str] = field(default_factory=list)
    """Places of what has no effect."""

    def called(self, shown: str) -> Tool:
        """The tool that the model calls by this name."""
        return self.known.get(shown) or Tool(shown)

    def add(self, tool: Any, place: str, namespace: str | None = None) -> None:
        """One more; RequestError for one that cannot be offered."""
        kind = tool.get("type") if isinstance(tool, Mapping) else None
        if kind in LEFT_OUT:
            self.ignored.append(place)
            return
        if kind == "namespace" and namespace is None:
            inner = tool.get("tools")
            if not isinstance(tool.get("name"), str) or not isinstance(inner, list):
                raise wrong(place, "must have a name and a list of tools")
            for number, one in enumerate(inner):
                self.add(one, f"{place}.tools.{number}", tool["name"])
            return
        if kind not in ("function", "custom"):
            raise wrong(
                f"{place}.type",
                f"is {kind!r:.80}; it must be function or custom: this server runs no tools of its own",
                "unsupported_parameter",
            )
        self._offer(tool, place, namespace)

    def _offer(self, tool: Mapping[str, Any], place: str, namespace: str | None) -> None:
        name = tool.get("name")
        if not isinstance(name, str):
            raise wrong(f"{place}.name", f"is {name!r:.80}; it must be a string", "invalid_type")
        freeform = tool["type"] == "custom"
        if freeform:
            function, loose = as_function(tool, place)
            self.ignored += [f"{place}.format"] * loose
        else:
            function = {part: tool[part] for part in _FUNCTION_FIELDS if tool.get(part) is not None}
        shown = shown_name(namespace, name)
        self.functions.append({"type": "function", "function": {**function, "name": shown}})
        self.places.append(place)
        self.known[shown] = Tool(name, namespace, freeform)

    def choice(self, given: str | Mapping[str, Any] | None) -> str | dict[str, Any] | None:
        """tool_choice as chats have it; RequestError for one that has no meaning."""
        match given:
            case None | "none" | "auto" | "required":
                return given
            case {"type": "function" | "custom"}:
                return self._named(given, "tool_choice")
            case {"type": "allowed_tools", "tools": list(listed), **more}:
                tools = [
                    self._named(tool, f"tool_choice.tools.{place}")
                    for place, tool in enumerate(listed)
                    if not (isinstance(tool, Mapping) and tool.get("type") in LEFT_OUT)
                ]
                return {"type": "allowed_tools", "allowed_tools": {"mode": more.get("mode") or "auto", "tools": tools}}
        raise wrong(
            "tool_choice",
            f"is {given!r:.200}; it must be none, auto, required, {{type: function, name}}, {{type: custom, name}} or "
            "{type: allowed_tools, mode, tools}",
        )

    def _named(self, choice: Any, place: str) -> dict[str, Any]:
        name = choice.get("name") if isinstance(choice, Mapping) else None
        if not isinstance(name, str) or choice.get("type") not in ("function", "custom"):
            raise wrong(place, f"is {choice!r:.200}; it must be {{type: function or custom, name: …}}")
        return {"type": "function", "function": {"name": shown_name(choice.get("namespace"), name)}}


def read_tools(groups: Sequence[tuple[str, Sequence[Any]]]) -> Toolset:
    """The tools of a request, in lists that stand at these places; RequestError for one that cannot be offered."""
    tools = Toolset()
    for place, listed in groups:
        for number, tool in enumerate(listed):
            tools.add(tool, f"{place}.{number}")
    return tools


def shown_name(namespace: str | None, name: str) -> str:
    """What the model calls a tool."""
    if not namespace:
        return name
    return f"{namespace}{name}" if namespace.endswith("__") else f"{namespace}__{name}"


@contextmanager
def client_names(places: Sequence[str]) -> Iterator[None]:
    """Errors name the fields that the client wrote."""

    def place(found: re.Match[str]) -> str:
        number = int(found[1])
        return places[number] if number < len(places) else found[0]

    names = (
        (re.compile(r"\btool_choice\.allowed_tools\b"), "tool_choice"),
        (re.compile(r"\b(tool_choice(?:\.tools\.\d+)?)\.function\b"), r"\1"),
        (re.compile(r"(?<!\.)\btools\.(\d+)(?:\.function)?\b"), place),
        (re.compile(r"\breasoning_effort\b"), "reasoning.effort"),
    )
    try:
        with said_as_sent(names):
            yield
    except RequestError as error:
        if error.param is not None and error.param.partition(".")[0] == "messages":
            error.param = "input"
        raise
