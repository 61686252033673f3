"""GET /: LMDeploy shows its routes there."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import RedirectResponse

from portico.server.service import Service


def router(service: Service) -> APIRouter:
    """The way to the page that lists and tries all routes."""
    routes = APIRouter()

    @routes.get("/", include_in_schema=False)
    async def page() -> RedirectResponse:
        return RedirectResponse("docs")

    return routes
