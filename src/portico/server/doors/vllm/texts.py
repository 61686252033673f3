"""From the texts of a body to their vectors."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request

from portico.errors import RequestError
from portico.protocol.limits import LIMITS
from portico.protocol.request import Embed, GenerationRequest, TextPrompt
from portico.protocol.sampling import SamplingParams
from portico.server.doors.vllm.schema import Texts
from portico.server.service import Service
from portico.server.vectors import embed_all

Named = tuple[str, str]
"""The name of a text's place in the body, and the text."""


def named(param: str, given: str | Sequence[str]) -> list[Named]:
    """Each text of a field with its place; RequestError for too many."""
    if isinstance(given, str):
        return [(param, given)]
    most = LIMITS.entries["texts"]
    if len(given) > most:
        raise RequestError(
            f"{param} has {len(given)} texts; at most {most} are allowed.", param=param, code="invalid_value"
        )
    return [(f"{param}.{index}", text) for index, text in enumerate(given)]


async def vectors_of(
    http: Request, texts: Sequence[Named], body: Texts, request_id: str, service: Service
) -> tuple[list[Sequence[float]], dict[str, int]]:
    """The vector of each text, and the usage object."""
    terms = service.terms(http, body.priority)
    sampling = SamplingParams(truncate_prompt_tokens=body.truncate_prompt_tokens)
    requests = [
        GenerationRequest(
            f"{request_id}-{index}", TextPrompt(text), sampling, embed=Embed(), prompt_param=param, terms=terms
        )
        for index, (param, text) in enumerate(texts)
    ]
    vectors, usage = await embed_all(http, service.pipeline, requests)
    return vectors, {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.prompt_tokens}
