"""MLC LLM's debug routes, where `--enable-debug` opens them."""

from __future__ import annotations

from types import NoneType

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from portico.errors import RequestError
from portico.server.body import read_body
from portico.server.describe import reads
from portico.server.doors.mlc.figures import engine_metrics
from portico.server.doors.mlc.schema import DebugRequest, EngineMetrics, Events
from portico.server.service import Service


def router(service: Service) -> APIRouter:
    """The routes; each takes a body with the model's name, or an empty object."""
    routes = APIRouter(prefix="/debug", tags=["mlc debug"])
    body = reads(DebugRequest)

    @routes.post("/dump_event_trace", response_model=None, responses={200: {"model": Events}}, openapi_extra=body)
    async def dump_event_trace(http: Request) -> Response:
        """What happened to the latest requests, in Chrome's Trace Event Format, with `--enable-tracing`."""
        model = await _model(http, service)
        if not service.trace.on:
            raise RequestError(
                f'The requested model "{model}" does not enable tracing; start with --enable-tracing.',
                code="tracing_off",
            )
        return Response(msgspec.json.encode(service.trace.events()), media_type="application/json")

    @routes.post("/dump_engine_metrics", openapi_extra=body)
    async def dump_engine_metrics(http: Request) -> EngineMetrics:
        """What GET /metrics has under MLC LLM's names, as JSON."""
        await _model(http, service)
        return EngineMetrics(metrics=engine_metrics(service.metrics.total))

    @routes.post("/reset_engine", response_model=NoneType, openapi_extra=body)
    async def reset_engine(http: Request) -> None:
        """End every request that runs, with an error; forget the sums of the metrics, and the trace."""
        await _model(http, service)
        await service.engine.abort_all()
        service.metrics.clear()
        service.trace.clear()

    return routes


async def _model(http: Request, service: Service) -> str:
    return service.resolve_model((await read_body(http, DebugRequest)).model)
