"""LMDeploy's dialect and its own routes: conversations that the server keeps, raw generation, and encoding."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter

from portico.config.compat import CompatName
from portico.server.dialect import Dialect
from portico.server.doors.lmdeploy import abort, encode, generate, interactive, page
from portico.server.doors.lmdeploy.dialect import LMDEPLOY
from portico.server.doors.lmdeploy.schema import AbortRequest, EncodeRequest, GenerateRequest, InteractiveRequest
from portico.server.service import Service

BODIES = (InteractiveRequest, GenerateRequest, EncodeRequest, AbortRequest)
"""What the door reads, for the OpenAPI document."""
DIALECTS: Mapping[CompatName, Dialect] = {"lmdeploy": LMDEPLOY}


def routers(service: Service) -> list[APIRouter]:
    """All routes of the door."""
    return [room.router(service) for room in (interactive, generate, encode, abort, page)]
