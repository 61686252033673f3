"""LMDeploy's own routes: conversations that the server keeps, raw generation, and encoding."""

from __future__ import annotations

from fastapi import APIRouter

from portico.server.doors.lmdeploy import encode, generate, interactive, page
from portico.server.doors.lmdeploy.schema import EncodeRequest, GenerateRequest, InteractiveRequest
from portico.server.service import Service

BODIES = (InteractiveRequest, GenerateRequest, EncodeRequest)
"""What the door reads, for the OpenAPI document."""


def routers(service: Service) -> list[APIRouter]:
    """All routes of the door."""
    return [room.router(service) for room in (interactive, generate, encode, page)]
