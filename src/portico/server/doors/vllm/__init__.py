"""vLLM's own routes: how the server is, and how alike texts are."""

from __future__ import annotations

from fastapi import APIRouter

from portico.server.doors.vllm import rerank, score, status
from portico.server.doors.vllm.schema import RerankRequest, ScoreRequest
from portico.server.service import Service

BODIES = (ScoreRequest, RerankRequest)
"""What the door reads, for the OpenAPI document."""


def routers(service: Service) -> list[APIRouter]:
    """All routes of the door."""
    return [room.router(service) for room in (status, score, rerank)]
