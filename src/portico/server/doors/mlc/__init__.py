"""What MLC LLM and MLC-Chat have and OpenAI has not: their dialects, and routes of their own."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter
from pydantic import BaseModel

from portico.config.compat import CompatName
from portico.server.dialect import Dialect
from portico.server.doors.mlc.dialects import MLC, MLC_CHAT
from portico.server.service import Service

BODIES: tuple[type[BaseModel], ...] = ()
"""What the door reads, for the OpenAPI document."""
DIALECTS: Mapping[CompatName, Dialect] = {"mlc": MLC, "mlc-chat": MLC_CHAT}


def routers(service: Service) -> list[APIRouter]:
    """All routes of the door."""
    return []
