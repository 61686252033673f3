"""How the demo server of Chinese-LLaMA-Alpaca-2 says what OpenAI's routes say: prompts are instructions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from pydantic import BaseModel

from portico.config.compat import CompatName
from portico.errors import RequestError
from portico.server.dialect import Dialect, Fields

OURS = frozenset({"system_fingerprint", "refusal"})
"""Fields of OpenAI's that it does not have."""
USAGE = ("prompt_tokens", "completion_tokens", "total_tokens")


class AlpacaError(BaseModel):
    """The answer of a request that failed, in this server's shape."""

    object: Literal["error"]
    message: str
    type: str
    param: None
    code: None


def _answer(answer: Fields, tools: bool) -> Fields:
    choices = [_choice(choice) for choice in answer["choices"]]
    return {**_head(answer), "choices": choices, "usage": {name: answer["usage"][name] for name in USAGE}}


def _chunk(chunk: Fields, tools: bool) -> Fields:
    return {**_head(chunk), "choices": [_choice(choice) for choice in chunk["choices"]]}


def _head(fields: Fields) -> Fields:
    """Every id begins with cmpl-, that of a chat too."""
    kept = {name: value for name, value in fields.items() if name not in OURS}
    return {**kept, "id": f"cmpl-{fields['id'].partition('-')[2]}"}


def _choice(choice: Fields) -> Fields:
    """The role comes alone, and the last delta has an empty text; log-probabilities only where they were asked for."""
    kept = {name: value for name, value in choice.items() if name != "logprobs" or value is not None}
    if "message" in kept:
        kept["message"] = {name: value for name, value in kept["message"].items() if name not in OURS}
    elif "delta" in kept and kept["finish_reason"] is not None:
        kept["delta"] = {"content": "", **kept["delta"]}
    elif "role" in kept.get("delta", ()):
        kept["delta"] = {"role": kept["delta"]["role"]}
    return kept


def _error(error: RequestError) -> tuple[int, bytes]:
    return error.status, _flat(error)


def _flat(error: RequestError) -> bytes:
    message = error.message.encode("utf-8", "replace").decode()  # it may quote lone surrogates
    fields: dict[str, Any] = {"object": "error", "message": message, "type": error.type, "param": None, "code": None}
    return msgspec.json.encode(fields)


ALPACA = Dialect(
    answer=_answer,
    chunk=_chunk,
    error=_error,
    error_model=AlpacaError,
    failure=lambda error: b'{"error":%b}' % _flat(error),
    completion_tokens=512,
    chat_tokens=512,
    defaults={"temperature": 0.2, "top_p": 0.9, "top_k": 40},
    instructions=True,
)
DIALECTS: Mapping[CompatName, Dialect] = {"alpaca": ALPACA}
