"""POST /score: how alike two texts are, by the vectors that the model makes of them."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from portico.errors import RequestError
from portico.server.body import read_body
from portico.server.describe import describe
from portico.server.doors.vllm.schema import NOT_HONOURED, PAIRS, ScoreAnswer, ScoreRequest
from portico.server.doors.vllm.texts import Named, named, vectors_of
from portico.server.fields import check_extra
from portico.server.middleware import context_of
from portico.server.service import Service
from portico.server.vectors import cosine

PATHS = ("/score", "/v1/score")


def router(service: Service) -> APIRouter:
    """The routes of scores."""
    routes = APIRouter(tags=["vllm"])

    async def score(http: Request) -> Response:
        """Compare one text with one or several, or texts pair by pair."""
        body = await read_body(http, ScoreRequest)
        model = service.resolve_model(body.model)
        headers = check_extra(body.model_extra or {}, NOT_HONOURED, service)
        request_id = context_of(http.scope).rename("score")
        ones, others = _sides(body)
        vectors, usage = await vectors_of(http, [*ones, *others], body, request_id, service)
        left, right = vectors[: len(ones)], vectors[len(ones) :]
        fields = {
            "id": request_id,
            "object": "list",
            "created": int(time.time()),
            "model": model,
            "data": [
                {"index": index, "object": "score", "score": value} for index, value in enumerate(_scores(left, right))
            ],
            "usage": usage,
        }
        return Response(msgspec.json.encode(fields), headers=headers, media_type="application/json")

    for path in PATHS:
        routes.add_api_route(path, score, methods=["POST"], **describe(ScoreRequest, ScoreAnswer))
    return routes


def _sides(body: ScoreRequest) -> tuple[list[Named], list[Named]]:
    """The texts of both sides; RequestError, in vLLM's words where it has some, if they make no pairs."""
    given = {name for pair in PAIRS for name in pair if getattr(body, name) is not None}
    chosen = next((pair for pair in PAIRS if given == set(pair)), None)
    if chosen is None:
        raise RequestError(
            f"The texts are in {sorted(given)}; give text_1 and text_2 (or queries and documents, queries and items, "
            "data_1 and data_2) and no other.",
            param=next((pair[0] for pair in PAIRS if given & set(pair)), "text_1"),
            code="missing_required_parameter",
        )
    one, other = chosen
    ones, others = named(one, getattr(body, one)), named(other, getattr(body, other))
    problem = None
    if len(ones) > 1 and len(ones) != len(others):
        problem = (other, "Input lengths must be either 1:1, 1:N or N:N")
    elif not ones:
        problem = (one, "At least one text element must be given")
    elif not others:
        problem = (other, "At least one text_pair element must be given")
    if problem is not None:
        raise RequestError(problem[1], param=problem[0], code="invalid_value")
    return ones, others


def _scores(left: Sequence[Sequence[float]], right: Sequence[Sequence[float]]) -> list[float]:
    many = [left[0]] * len(right) if len(left) == 1 else left
    return [cosine(one, other) for one, other in zip(many, right, strict=True)]
