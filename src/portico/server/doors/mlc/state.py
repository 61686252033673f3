"""/chat/reset, /stats and /verbose_stats of MLC-Chat: its document has them as GET, its code the first as POST."""

from __future__ import annotations

from types import NoneType

from fastapi import APIRouter, Request

from portico.server.doors.mlc import figures
from portico.server.doors.mlc.conversation import conversation_of, forget
from portico.server.service import Service


def router(service: Service) -> APIRouter:
    """The routes about what runs and ran."""
    routes = APIRouter(tags=["mlc-chat"])
    metrics = service.metrics

    @routes.get("/chat/reset", response_model=NoneType)
    @routes.post("/chat/reset", response_model=NoneType)
    async def reset(http: Request) -> None:
        """Begin the conversation of `--compat mlc-chat` and the speeds of /stats anew; a body is not read."""
        await forget(conversation_of(http, service), service)
        metrics.begin_anew()

    @routes.get("/stats")
    @routes.post("/stats")
    async def stats() -> str:
        """Speed of reading and writing since the last reset, as a line; waiting is part of reading."""
        return figures.stats(metrics.recent)

    @routes.get("/verbose_stats")
    @routes.post("/verbose_stats")
    async def verbose_stats() -> str:
        """The same with the tokens and times."""
        return figures.verbose_stats(metrics.recent)

    return routes
