"""POST /rerank: texts in the order of how alike they are to another, by the vectors that the model makes of them."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from portico.errors import RequestError
from portico.server.body import read_body
from portico.server.describe import describe
from portico.server.doors.vllm.schema import NOT_HONOURED, RerankAnswer, RerankRequest
from portico.server.doors.vllm.texts import named, vectors_of
from portico.server.fields import check_extra
from portico.server.middleware import context_of
from portico.server.service import Service
from portico.server.vectors import cosine

PATHS = ("/rerank", "/v1/rerank", "/v2/rerank")


def router(service: Service) -> APIRouter:
    """The routes of reranking."""
    routes = APIRouter(tags=["vllm"])

    async def rerank(http: Request) -> Response:
        """Order documents by how alike they are to the query, the likest first."""
        body = await read_body(http, RerankRequest)
        model = service.resolve_model(body.model)
        headers = check_extra(body.model_extra or {}, NOT_HONOURED, service)
        request_id = context_of(http.scope).rename("rerank")
        texts = _documents(body)
        asked = [*named("query", body.query), *named("documents", texts)]
        (query, *documents), usage = await vectors_of(http, asked, body, request_id, service)
        scores = [cosine(query, vector) for vector in documents]
        best = sorted(range(len(texts)), key=lambda index: -scores[index])[: body.top_n or None]
        results = [_result(index, texts[index], scores[index], body) for index in best]
        fields = {"id": request_id, "model": model, "usage": usage, "results": results}
        return Response(msgspec.json.encode(fields), headers=headers, media_type="application/json")

    for path in PATHS:
        routes.add_api_route(path, rerank, methods=["POST"], **describe(RerankRequest, RerankAnswer))
    return routes


def _documents(body: RerankRequest) -> list[str]:
    if not body.documents:
        raise RequestError("At least one text_pair element must be given", param="documents", code="invalid_value")
    if body.top_n is not None and body.top_n < 0:
        raise RequestError(f"top_n is {body.top_n}; it must be at least 0.", param="top_n", code="invalid_value")
    return [document if isinstance(document, str) else document.text for document in body.documents]


def _result(index: int, text: str, score: float, body: RerankRequest) -> dict[str, Any]:
    shown = {} if body.return_documents is False else {"document": {"text": text}}
    return {"index": index, **shown, "relevance_score": score}
