"""GET /metrics."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response

from portico.server.metrics.metrics import Metrics


def router(metrics: Metrics) -> APIRouter:
    """The route that Prometheus asks."""
    routes = APIRouter(tags=["server"])

    @routes.get("/metrics", response_class=PlainTextResponse)
    async def metrics_text() -> Response:
        """Figures in Prometheus' text format."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return routes
