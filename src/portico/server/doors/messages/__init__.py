"""Anthropic's Messages API: blocks in, blocks out, and what its clients ask besides."""

from __future__ import annotations

from fastapi import APIRouter

from portico.server.doors.messages import create, models
from portico.server.doors.messages.errors import error_shape
from portico.server.doors.messages.schema import CountTokens, CreateMessage
from portico.server.service import Service

__all__ = ["BODIES", "error_shape", "routers"]

BODIES = (CreateMessage, CountTokens)
"""What the door reads, for the OpenAPI document."""


def routers(service: Service) -> list[APIRouter]:
    """All routes of the door."""
    return [create.router(service), models.router(service)]
