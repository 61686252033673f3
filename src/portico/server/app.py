"""The application: doors plugged in behind one set of limits and one shape of errors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel

from portico.server import errors, health
from portico.server.doors import lmdeploy, openai
from portico.server.middleware import BearerKeys, BodyLimit, RequestIds
from portico.server.service import Service
from portico.server.sessions.memory import MemoryStore
from portico.server.sessions.sessions import Sessions
from portico.server.sessions.store import SessionLimits
from portico.server.settings import ServerSettings
from portico.text.engine_client import EngineClient
from portico.text.model import TextModel
from portico.text.pipeline import Pipeline

DOORS = (openai, lmdeploy)


def create_app(
    engine: EngineClient, model: TextModel, settings: ServerSettings, sessions: Sessions | None = None
) -> FastAPI:
    """An ASGI application that serves `model` by `engine`; the engine may still be loading.

    Without `sessions` of the caller's, which the caller closes, conversations are kept in memory.
    """
    sessions = sessions or Sessions(MemoryStore(SessionLimits()))
    service = Service(Pipeline(model, engine), settings, sessions, started=int(time.time()))
    # Its page at /docs carries its scripts with it: a server without a way out shows it too.
    app = FastAPIOffline(title="Portico", version=settings.version, redoc_url=None)
    errors.install(app)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    if settings.api_keys:
        app.add_middleware(BearerKeys, keys=settings.api_keys)
    app.add_middleware(RequestIds)  # added last, so it is the outermost
    app.include_router(health.router(service))
    for door in DOORS:
        for router in door.routers(service):
            app.include_router(router)
    _describe(app, [body for door in DOORS for body in door.BODIES])
    return app


def _describe(app: FastAPI, bodies: Sequence[type[BaseModel]]) -> None:
    """Add the bodies, which doors read themselves, to the OpenAPI document that FastAPI makes."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = plain()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for body in bodies:
                schema = body.model_json_schema(ref_template="#/components/schemas/{model}")
                schemas.update(schema.pop("$defs", {}))
                schemas[body.__name__] = schema
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
