"""Whether the server can answer, and which version it is: questions that need no key."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.responses import JSONResponse, Response

from portico.errors import EngineError
from portico.protocol.messages import Loading
from portico.server.service import Service


class Health(BaseModel):
    """That the model is loaded and its engine works, with the counts of its latest step."""

    model_config = ConfigDict(extra="allow")

    status: Literal["ok"]
    max_model_len: int


class Unavailable(BaseModel):
    """That it cannot answer."""

    model_config = ConfigDict(extra="allow")

    status: str
    reason: str


HEALTH: dict[str, Any] = {
    "response_model": None,
    "responses": {
        200: {"model": Health},
        503: {"model": Unavailable, "description": "The model is being loaded, or the engine has failed."},
    },
}
"""Arguments of the routes that answer with `health_answer`."""
STATS = ("running", "waiting", "blocks_used", "blocks_total", "preemptions", "prompt_tokens", "cached_tokens",
         "generated_tokens")  # fmt: skip


def router(service: Service) -> APIRouter:
    """GET /health and GET /version."""
    routes = APIRouter(tags=["server"])

    @routes.get("/health", **HEALTH)
    async def health() -> Response:
        """200 when the model is loaded and its engine works, else 503 with the reason."""
        return health_answer(service)

    @routes.get("/version")
    async def version() -> dict[str, str]:
        """The version of Portico."""
        return {"version": service.settings.version}

    return routes


def health_answer(service: Service) -> Response:
    """What doors answer where they are asked how the server is."""
    engine = service.pipeline.engine
    reason = engine.failure()
    try:
        loaded = engine.loaded
    except EngineError as error:
        reason = reason or error.message
    if reason is not None:
        return JSONResponse(_unavailable(reason, engine.loading), status_code=503)
    state: dict[str, Any] = {"status": "ok", "max_model_len": loaded.max_model_len}
    if engine.stats is not None:
        state |= {name: getattr(engine.stats, name) for name in STATS}
    return JSONResponse(state)


def _unavailable(reason: str, loading: Loading | None) -> dict[str, Any]:
    if loading is None:
        return {"status": "unavailable", "reason": reason}
    return {"status": "loading", "reason": reason, "stage": loading.stage, "progress": round(loading.progress, 3)}
