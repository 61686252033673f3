"""vLLM's dialect and its own routes: how the server is, and how alike texts are."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter

from portico.config.compat import CompatName
from portico.server.dialect import Dialect
from portico.server.doors.vllm import rerank, score, status
from portico.server.doors.vllm.dialect import VLLM
from portico.server.doors.vllm.schema import RerankRequest, ScoreRequest
from portico.server.service import Service

BODIES = (ScoreRequest, RerankRequest)
"""What the door reads, for the OpenAPI document."""
DIALECTS: Mapping[CompatName, Dialect] = {"vllm": VLLM}


def routers(service: Service) -> list[APIRouter]:
    """All routes of the door."""
    return [room.router(service) for room in (status, score, rerank)]
