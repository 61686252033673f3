"""The Responses API, after the Open Responses specification: items in, items out, and what is kept of them."""

from __future__ import annotations

from fastapi import APIRouter

from portico.server.doors.responses import create, routes
from portico.server.doors.responses.run import Runs
from portico.server.doors.responses.schema import CreateResponse
from portico.server.service import Service

BODIES = (CreateResponse,)
"""What the door reads, for the OpenAPI document."""


def routers(service: Service) -> list[APIRouter]:
    """All routes of the door."""
    runs = Runs()
    return [create.router(service, runs), routes.router(service, runs)]
