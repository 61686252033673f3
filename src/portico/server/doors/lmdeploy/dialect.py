"""How LMDeploy says what OpenAI's routes say."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from portico.errors import RequestError
from portico.protocol.sampling import MAX_CHOICES, SamplingParams
from portico.server.dialect import Dialect, Fields
from portico.server.doors.lmdeploy.errors import check_ranges, error_body
from portico.server.doors.lmdeploy.schema import FlatError

MESSAGE: Fields = {"role": "assistant", "content": None, "reasoning_content": None, "tool_calls": None}
"""Fields that every message has."""
OURS = frozenset({"refusal", "reasoning"})
"""Fields of a message that it does not have."""
TYPES = {401: "authentication_error", 404: "not_found_error"}


def _too_long(error: RequestError) -> str:
    if not error.counts:
        return error.message  # the prompt fits, but not with all the tokens that its answer may have
    tokens, most = error.counts["prompt_tokens"], error.counts["max_model_len"]
    return f"Input length ({tokens}) must be smaller than the model context length ({most})."


WORDS: Mapping[str, Callable[[RequestError], str]] = {
    "invalid_api_key": lambda error: "Unauthorized.",
    "model_not_found": lambda error: error.message.partition(";")[0] + ".",
    "context_length_exceeded": _too_long,
}
"""Its own texts of errors, by their codes; clients look for these."""


def _answer(answer: Fields, tools: bool) -> Fields:
    return {**answer, "choices": [_choice(choice) for choice in answer["choices"]]}


def _choice(choice: Fields) -> Fields:
    if "message" not in choice:
        return choice
    told = {name: value for name, value in choice["message"].items() if name not in OURS}
    return {**choice, "message": {**MESSAGE, **told}}


def _chunk(chunk: Fields, tools: bool) -> Fields | None:
    """Every delta has the role, and the last one an empty text; there is no chunk for the role alone."""
    if chunk["object"] != "chat.completion.chunk":
        return chunk
    if any("role" in choice["delta"] for choice in chunk["choices"]):
        return None
    return {**chunk, "choices": [_spoken(choice) for choice in chunk["choices"]]}


def _spoken(choice: Fields) -> Fields:
    said = {name: value for name, value in choice["delta"].items() if name not in OURS}
    content = {"content": ""} if choice["finish_reason"] is not None else {}
    return {**choice, "delta": {"role": "assistant", **content, **said}}


def _check(sampling: SamplingParams) -> None:
    check_ranges(top_p=sampling.top_p, top_k=sampling.top_k, temperature=sampling.temperature)
    problem = None
    if sampling.n < 1:
        problem = ("n", f"The n {sampling.n} must be a positive int.")
    elif sampling.n > MAX_CHOICES:
        problem = ("n", f"The n {sampling.n} exceeds the maximum supported choices ({MAX_CHOICES}).")
    elif sampling.max_tokens is not None and sampling.max_tokens < 1 and sampling.prompt_logprobs is None:
        problem = ("max_tokens", f"max_new_tokens must be at least 1, got {sampling.max_tokens}.")
    if problem is not None:
        raise RequestError(problem[1], param=problem[0], code="invalid_value")


def _error(error: RequestError) -> tuple[int, bytes]:
    return error.status, _flat(error)


def _flat(error: RequestError) -> bytes:
    words = WORDS.get(error.code or "")
    message = error.message if words is None else words(error)
    kind = TYPES.get(error.status, error.type)
    return error_body(RequestError(message, param=error.param, status=error.status, type=kind))


LMDEPLOY = Dialect(
    answer=_answer,
    chunk=_chunk,
    error=_error,
    error_model=FlatError,
    failure=lambda error: b'{"error":%b}' % _flat(error),
    check=_check,
    usage_in_chunks=True,
)
