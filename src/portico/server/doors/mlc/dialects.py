"""How MLC LLM (2024 and later) and MLC-Chat (2023) say what OpenAI's routes say."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from portico.errors import RequestError
from portico.server.dialect import Dialect, Fields
from portico.server.doors.mlc.schema import DetailAnswer, TwiceEncoded

OF_A_FIELD = frozenset({"invalid_json", "invalid_type", "invalid_value", "missing_required_parameter"})
"""Codes of errors that FastAPI finds there before the server sees the request."""
OF_A_ROUTE = frozenset({"not_found", "method_not_allowed"})
MESSAGE: Fields = {"role": "assistant", "content": None, "name": None, "tool_calls": None, "tool_call_id": None}
"""Fields that every message has, and every delta too."""
UNPROCESSABLE = 422


def _answer(answer: Fields, tools: bool) -> Fields:
    choices = answer["choices"]
    if answer["object"] == "chat.completion":
        choices = [_choice(choice, tools) for choice in choices]
    return {**answer, "choices": choices, "usage": _usage(answer["usage"])}


def _choice(choice: Fields, tools: bool) -> Fields:
    """With tools that may be called every answer is a call, or else an error."""
    message = {**MESSAGE, **choice["message"]}
    calls = message["tool_calls"]
    if calls is not None:
        message["tool_calls"] = [_with_object(call) for call in calls]
    reason = choice["finish_reason"]
    if tools and reason in ("stop", "length"):
        reason = "error" if calls is None else "tool_calls"
    return {**choice, "message": message, "finish_reason": reason}


def _with_object(call: Fields) -> Fields:
    """A call whose arguments are an object; what is not the JSON of one stays text."""
    function = call["function"]
    try:
        arguments: Any = json.loads(function["arguments"])
    except json.JSONDecodeError:
        return call
    return {**call, "function": {**function, "arguments": arguments}} if isinstance(arguments, dict) else call


def _chunk(chunk: Fields, tools: bool) -> Fields | None:
    """Every delta has a role and a text, every chunk a `usage`; there is none for the role alone."""
    chunk = {**chunk, "usage": _usage(chunk.get("usage"))}
    if chunk["object"] != "chat.completion.chunk" or not chunk["choices"]:
        return chunk
    choices = []
    for choice in chunk["choices"]:
        if "role" in choice["delta"]:
            return None
        reason = choice["finish_reason"] and ("tool_calls" if tools else choice["finish_reason"])
        choices.append({**choice, "delta": {**MESSAGE, "content": "", **choice["delta"]}, "finish_reason": reason})
    return {**chunk, "choices": choices}


def _choices_only(chunk: Fields, tools: bool) -> Fields | None:
    """A chunk has nothing but its choices; one that has only usage is none."""
    choices = [
        {name: value for name, value in choice.items() if name != "logprobs" or value is not None}
        for choice in chunk["choices"]
    ]
    return {"choices": choices} if choices else None


def _usage(usage: Fields | None) -> Fields | None:
    return None if usage is None else {**usage, "extra": None}


def _detail(error: RequestError) -> Fields | None:
    """FastAPI's own shape, of the errors that it finds itself."""
    if error.code in OF_A_FIELD:
        place = ["body", *(error.param or "").split(".")] if error.param else ["body"]
        return {"detail": [{"type": error.code, "loc": place, "msg": error.message}]}
    if error.code in OF_A_ROUTE:
        return {"detail": error.message}
    return {"detail": "Invalid API Key"} if error.status == 401 else None


def _status(error: RequestError) -> int:
    return UNPROCESSABLE if error.code in OF_A_FIELD else error.status


def _twice_encoded(error: RequestError) -> tuple[int, bytes]:
    """The JSON text of a string, which is the JSON text of the error."""
    detail = _detail(error)
    if detail is not None:
        return _status(error), _encode(detail)
    inner = _encode({"object": "error", "message": error.message, "code": error.status})
    return error.status, msgspec.json.encode(inner.decode())


def _details(error: RequestError) -> tuple[int, bytes]:
    return _status(error), _encode(_detail(error) or {"detail": error.message})


def _encode(fields: Fields) -> bytes:
    # A message may quote lone surrogates, which have no UTF-8 form; json escapes them.
    return json.dumps(fields, ensure_ascii=True).encode()


MLC = Dialect(
    answer=_answer,
    chunk=_chunk,
    error=_twice_encoded,
    error_model=TwiceEncoded,
    any_model=True,
    completion_tokens=None,
    streams_calls=False,
)
MLC_CHAT = Dialect(
    chunk=_choices_only,
    error=_details,
    error_model=DetailAnswer,
    done=b"",
    any_model=True,
    completion_tokens=None,
)
"""Chat is a route of its own there."""
