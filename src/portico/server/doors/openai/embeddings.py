"""POST /v1/embeddings."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from portico.protocol.request import Embed, GenerationRequest, Terms
from portico.protocol.sampling import SamplingParams
from portico.server.body import read_body
from portico.server.describe import describe
from portico.server.doors.openai.answer_schema import EmbeddingList
from portico.server.doors.openai.completions import read_prompts
from portico.server.doors.openai.params import EMBEDDINGS
from portico.server.doors.openai.schema import EmbeddingRequest
from portico.server.fields import check_extra
from portico.server.middleware import context_of
from portico.server.service import Service
from portico.server.vectors import embed_all


def router(service: Service) -> APIRouter:
    """The route of embeddings."""
    routes = APIRouter(tags=["openai"])

    @routes.post("/v1/embeddings", **describe(EmbeddingRequest, EmbeddingList))
    async def create_embedding(http: Request) -> Response:
        """Make a vector of each text, as the model's pooling configuration says."""
        body = await read_body(http, EmbeddingRequest)
        model = service.resolve_model(body.model)
        headers = check_extra(body.model_extra or {}, EMBEDDINGS, service)
        terms = service.terms(http, body.priority)
        requests = _understand(body, context_of(http.scope).rename("embd"), terms)
        vectors, usage = await embed_all(http, service.pipeline, requests)
        write = _base64 if body.encoding_format == "base64" else list
        fields = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": write(vector)}
                for index, vector in enumerate(vectors)
            ],
            "model": model,
            "usage": {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.prompt_tokens},
        }
        return Response(msgspec.json.encode(fields), headers=headers, media_type="application/json")

    return routes


def _understand(body: EmbeddingRequest, request_id: str, terms: Terms) -> list[GenerationRequest]:
    sampling = SamplingParams(
        truncate_prompt_tokens=body.truncate_prompt_tokens, add_special_tokens=body.add_special_tokens
    )
    return [
        GenerationRequest(
            f"{request_id}-{index}",
            prompt,
            sampling,
            embed=Embed(body.dimensions),
            prompt_param=param,
            terms=terms,
        )
        for index, (param, prompt) in enumerate(read_prompts(body.input, "input"))
    ]


def _base64(values: Sequence[float]) -> str:
    """32-bit floats, little-endian, as the official client reads them."""
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode("ascii")
