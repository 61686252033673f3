"""Anthropic's tools and tool_choice as the text layer knows them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from portico.server.wording import Names, wrong

Tool = Mapping[str, Any]

NAMES: Names = (
    (re.compile(r"\b(tools\.\d+)\.function\.parameters\b"), r"\1.input_schema"),
    (re.compile(r"\b(tools\.\d+|tool_choice)\.function\b"), r"\1"),
    (re.compile(r"^stop\b"), "stop_sequences"),
)
"""What the fields are called below."""
CHOICES: Mapping[str, str] = {"auto": "auto", "any": "required", "none": "none"}
NO_EFFECT = ("defer_loading", "input_examples")
"""Of a tool: the model is shown it at once, and without them."""


def functions_of(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """The tools as functions; RequestError for one that a server of Anthropic's would run or know by itself."""
    return [{"type": "function", "function": _function(tool, f"tools.{place}")} for place, tool in enumerate(tools)]


def ignored_of(tools: Sequence[Tool]) -> list[str]:
    """Places of what has no effect."""
    return [f"tools.{place}.{name}" for place, tool in enumerate(tools) for name in NO_EFFECT if tool.get(name)]


def choice_of(given: Tool | None) -> tuple[str | dict[str, Any] | None, bool]:
    """tool_choice as chats have it, and whether an answer may have several calls; RequestError if it has no meaning."""
    if given is None:
        return None, True
    single = given.get("disable_parallel_tool_use")
    if not isinstance(single, bool | None):
        raise wrong("tool_choice.disable_parallel_tool_use", f"is {single!r:.80}; it must be true or false")
    match given:
        case {"type": "auto" | "any" | "none" as kind}:
            return CHOICES[kind], not single
        case {"type": "tool", "name": str(name)}:
            return {"type": "function", "function": {"name": name}}, not single
    raise wrong(
        "tool_choice",
        f"is {given!r:.200}; it must be {{type: auto}}, {{type: any}}, {{type: tool, name: …}} or {{type: none}}",
    )


def _function(tool: Tool, where: str) -> dict[str, Any]:
    kind = tool.get("type")
    if kind not in (None, "custom"):
        raise wrong(
            f"{where}.type",
            f"is {kind!r:.80}, a tool built into Anthropic's API; this server has none: give tools a name, a "
            "description and an input_schema",
            "unsupported_parameter",
        )
    if tool.get("allowed_callers") not in (None, ["direct"]):
        raise wrong(f"{where}.allowed_callers", "must be ['direct'], or be left out", "unsupported_parameter")
    schema = tool.get("input_schema")
    if schema is None:
        raise wrong(f"{where}.input_schema", "is missing", "missing_required_parameter")
    # In the order in which functions are written everywhere: templates print them as they are.
    described = {"name": tool.get("name"), "description": tool.get("description"), "parameters": schema}
    function = {**described, "strict": tool.get("strict")}
    return {name: value for name, value in function.items() if name == "name" or value is not None}
