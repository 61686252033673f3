"""Ids of responses and their items: an item's id tells of which response it is."""

from __future__ import annotations

import re
from collections.abc import Mapping

PREFIXES: Mapping[str, str] = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "additional_tools": "at",
}
_ITEM = re.compile(r"[a-z]+_([0-9a-f]{32})_[io]\d+")
_RESPONSE = re.compile(r"resp_[0-9a-f]{32}")


def response_id(request_id: str) -> str:
    """The id of the response to a request, as resp_…"""
    return f"resp_{request_id.partition('-')[2]}"


def is_response_id(name: str) -> bool:
    """Whether a response of ours could be called so."""
    return _RESPONSE.fullmatch(name) is not None


def item_id(kind: str, response: str, place: int, *, given: bool) -> str:
    """The id of an item at a place of the response's output, or, `given`, of what was sent with it."""
    return f"{PREFIXES[kind]}_{response.partition('_')[2]}_{'i' if given else 'o'}{place}"


def response_of(item: str) -> str | None:
    """The response of an item; None for an id that no item of ours has."""
    found = _ITEM.fullmatch(item)
    return None if found is None else f"resp_{found[1]}"
