"""Texts as vectors, and how alike these are: what every door that embeds or compares texts needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

from fastapi import Request

from portico.protocol.events import Usage
from portico.protocol.request import GenerationRequest
from portico.server.admission import count_answers
from portico.server.disconnect import while_connected
from portico.server.fold import fold_embeddings, prepare_all, run_all
from portico.text.pipeline import Pipeline


async def embed_all(
    http: Request, pipeline: Pipeline, requests: Sequence[GenerationRequest]
) -> tuple[list[Sequence[float]], Usage]:
    """The vector of each request's prompt, in their order; RequestError for the first that cannot be made."""
    count_answers(http.scope, len(requests))
    prepared = await while_connected(http.receive, prepare_all(pipeline, requests))
    return await while_connected(http.receive, fold_embeddings(run_all(pipeline, prepared)))


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine of the angle between two vectors of one length, -1 to 1; 0 where one of them is zero."""
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(map(mul, one, other)) / lengths if lengths else 0.0
