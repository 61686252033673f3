"""`truncation` auto: a conversation that is too long for the context without its oldest turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from portico.errors import RequestError
from portico.protocol.request import ChatPrompt, GenerationRequest
from portico.text.pipeline import Pipeline, Prepared

Messages = Sequence[Mapping[str, Any]]


async def prepare_fitting(pipeline: Pipeline, request: GenerationRequest) -> Prepared:
    """The request, of whose turns as many of the oldest are left out as must be; RequestError if one alone is too long.

    A turn begins with what a user says; what comes before the first stays.
    """
    try:
        return await pipeline.prepare(request)
    except RequestError as error:
        too_long = error
    assert isinstance(request.prompt, ChatPrompt)
    messages = request.prompt.messages
    starts = [place for place, message in enumerate(messages) if message["role"] == "user"]
    fitting = None
    low, high = 1, len(starts) - 1
    while low <= high and too_long.code == "context_length_exceeded":
        middle = (low + high) // 2
        rest = [*messages[: starts[0]], *messages[starts[middle] :]]
        try:
            fitting = await pipeline.prepare(replace(request, prompt=replace(request.prompt, messages=rest)))
            high = middle - 1
        except RequestError as error:
            too_long = error
            low = middle + 1
    if fitting is None:
        raise too_long
    return fitting
