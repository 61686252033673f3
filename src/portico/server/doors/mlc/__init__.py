"""What MLC LLM and MLC-Chat have and OpenAI has not: their dialects, and routes of their own."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter

from portico.config.compat import CompatName
from portico.server.dialect import Dialect
from portico.server.doors.mlc import conversation, debug, figures, state
from portico.server.doors.mlc.dialects import MLC, MLC_CHAT
from portico.server.doors.mlc.schema import ConversationRequest, DebugRequest
from portico.server.service import Service

BODIES = (ConversationRequest, DebugRequest)
"""What the door reads, for the OpenAPI document."""
DIALECTS: Mapping[CompatName, Dialect] = {"mlc": MLC, "mlc-chat": MLC_CHAT}
METRICS = figures.flat
"""Its names of the figures at GET /metrics."""


def routers(service: Service) -> list[APIRouter]:
    """All routes of the door that the settings open."""
    rooms = [state]
    if service.settings.compat == "mlc-chat":
        rooms.append(conversation)
    if service.settings.debug:
        rooms.append(debug)
    return [room.router(service) for room in rooms]
