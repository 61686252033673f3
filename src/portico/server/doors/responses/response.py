"""The response object: what was asked, as it was understood, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from portico.errors import EngineError, RequestError
from portico.protocol.events import Usage
from portico.protocol.sampling import TokenParams
from portico.server.doors.responses.items import Item
from portico.server.doors.responses.schema import CreateResponse

Response = dict[str, Any]
PLAIN_TEXT = {"type": "text"}


def begun(body: CreateResponse, name: str, model: str, params: TokenParams) -> Response:
    """A response of which nothing is made yet; `params` are the values that fields left out have."""
    return {
        "id": name,
        "object": "response",
        "created_at": int(time.time()),
        "completed_at": None,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": None,
        "model": model,
        "output": [],
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "previous_response_id": body.previous_response_id,
        "prompt_cache_key": body.prompt_cache_key,
        "reasoning": {
            "effort": body.reasoning.effort if body.reasoning else None,
            "summary": body.reasoning.summary if body.reasoning else None,
        },
        "safety_identifier": body.safety_identifier,
        "service_tier": "default",
        "store": body.store is not False,
        "temperature": params.temperature,
        "text": {"format": _format(body), "verbosity": "medium"},
        "tool_choice": _tool_choice(body.tool_choice),
        "tools": [_tool(tool) for tool in body.tools or ()],
        "top_logprobs": body.top_logprobs or 0,
        "top_p": params.top_p,
        "presence_penalty": params.presence_penalty,
        "frequency_penalty": params.frequency_penalty,
        "truncation": body.truncation or "disabled",
        "usage": None,
        "user": body.user,
        "metadata": body.metadata or {},
    }


def ended(response: Response, output: Sequence[Item], usage: Usage, *, cut: bool, cancelled: bool) -> Response:
    """The same with its answer; `cut`: it had no more tokens."""
    changes: dict[str, Any] = {"output": list(output), "usage": usage_fields(usage)}
    if cancelled:
        return {**response, **changes, "status": "cancelled"}
    if cut:
        return {**response, **changes, "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    return {**response, **changes, "status": "completed", "completed_at": int(time.time())}


def failed(response: Response, output: Sequence[Item], error: RequestError) -> Response:
    """The same with why there is no answer."""
    code = "server_error" if isinstance(error, EngineError) else error.code
    return {
        **response,
        "output": list(output),
        "status": "failed",
        "error": {"code": code or "server_error", "message": error.message},
    }


def usage_fields(usage: Usage) -> dict[str, Any]:
    """What the response has cost."""
    return {
        "input_tokens": usage.prompt_tokens,
        # Nothing is written to a cache that has to be asked for or paid.
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _format(body: CreateResponse) -> dict[str, Any]:
    given = body.text.format if body.text else None
    if given is None:
        return PLAIN_TEXT
    if given.get("type") != "json_schema":
        return given
    return {"description": None, **given, "strict": bool(given.get("strict"))}


def _tool_choice(given: Any) -> Any:
    if isinstance(given, dict) and given.get("type") == "allowed_tools":
        return {**given, "mode": given.get("mode") or "auto"}
    return given or "auto"


def _tool(given: dict[str, Any]) -> dict[str, Any]:
    """A tool as the client wrote it, with all fields that its type has."""
    if given.get("type") != "function":
        return given
    return {"description": None, "parameters": None, "strict": None, **given}
