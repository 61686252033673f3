"""`tools` and `tool_choice` of a request, as OpenAI defines them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from portico.errors import RequestError
from portico.protocol.request import CallWish

MAX_TOOLS = 128
NAMES_SAID = 10
"""In an error, of tools that there are."""
NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""Of a tool: as long as Anthropic lets it be; OpenAI stops at 64."""

Tools = Sequence[Mapping[str, Any]]


def read_wish(
    tools: Tools, choice: str | Mapping[str, Any] | None, parallel: bool
) -> tuple[Tools | None, CallWish | None]:
    """The tools that the model is shown and how they may be called; RequestError for a wish that makes no sense.

    `choice` None is auto; `parallel` is whether an answer may have several calls.
    """
    _check_tools(tools)
    choice = "auto" if choice is None else choice
    if choice == "none" or (choice == "auto" and not tools):
        return None, None
    if not tools:
        raise _wrong("tool_choice", "is only allowed with tools", code="missing_required_parameter")
    match choice:
        case "auto":
            return tools, CallWish(parallel=parallel)
        case "required":
            return tools, CallWish(required=True, parallel=parallel)
        case {"type": "function"}:
            name = _named(choice, "tool_choice", tools)
            return tools, CallWish(required=True, only=name, parallel=False)
        case {"type": "allowed_tools", "allowed_tools": wish}:
            return _allowed(wish, tools, parallel)
    raise _wrong(
        "tool_choice",
        f"is {choice!r}; it must be none, auto, required, {{type: function, function: {{name: …}}}} or "
        "{type: allowed_tools, allowed_tools: {mode: …, tools: […]}}",
    )


def _allowed(wish: Any, tools: Tools, parallel: bool) -> tuple[Tools, CallWish]:
    """The model is shown only the tools that it may call."""
    field = "tool_choice.allowed_tools"
    mode = wish.get("mode") if isinstance(wish, Mapping) else None
    listed = wish.get("tools") if isinstance(wish, Mapping) else None
    if mode not in ("auto", "required") or not isinstance(listed, list) or not listed:
        raise _wrong(field, "must have a mode, auto or required, and a list of tools")
    names = {_named(item, f"{field}.tools.{place}", tools) for place, item in enumerate(listed)}
    shown = [tool for tool in tools if tool["function"]["name"] in names]
    return shown, CallWish(required=mode == "required", parallel=parallel)


def _named(choice: Any, field: str, tools: Tools) -> str:
    function = choice.get("function") if isinstance(choice, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    names = [tool["function"]["name"] for tool in tools]
    if name not in names:
        more = f" and {len(names) - NAMES_SAID} more" * (len(names) > NAMES_SAID)
        known = ", ".join(map(repr, names[:NAMES_SAID])) + more
        raise _wrong(f"{field}.function.name", f"is {name!r}; tools has {known}")
    return str(name)


def _check_tools(tools: Tools) -> None:
    if len(tools) > MAX_TOOLS:
        raise _wrong("tools", f"has {len(tools)} tools; at most {MAX_TOOLS} are allowed")
    names: set[str] = set()
    for place, tool in enumerate(tools):
        name = _check_tool(tool, f"tools.{place}")
        if name in names:
            raise _wrong(f"tools.{place}.function.name", f"is {name!r}, which another tool is called too")
        names.add(name)


def _check_tool(tool: Mapping[str, Any], field: str) -> str:
    if tool.get("type") != "function":
        raise _wrong(f"{field}.type", f"is {tool.get('type')!r}; it must be 'function'")
    function = tool.get("function")
    if not isinstance(function, Mapping):
        raise _wrong(f"{field}.function", "must be an object with a name")
    name = function.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise _wrong(f"{field}.function.name", f"is {name!r}; it must be 1 to 128 letters, digits, '_' or '-'")
    if not isinstance(function.get("description"), str | None):
        raise _wrong(f"{field}.function.description", "must be a string")
    if not isinstance(function.get("strict"), bool | None):
        raise _wrong(f"{field}.function.strict", "must be true or false")
    parameters = function.get("parameters")
    if not isinstance(parameters, dict | None):
        raise _wrong(f"{field}.function.parameters", "must be a JSON schema as an object")
    if parameters and parameters.get("type", "object") != "object":
        raise _wrong(f"{field}.function.parameters.type", f"is {parameters['type']!r}; it must be 'object'")
    return name


def _wrong(field: str, what: str, code: str = "invalid_value") -> RequestError:
    return RequestError(f"{field} {what}.", param=field, code=code)
