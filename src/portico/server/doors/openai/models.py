"""GET /v1/models and GET /v1/models/{name}."""

from __future__ import annotations

from fastapi import APIRouter

from portico.errors import EngineError
from portico.server.doors.openai.answer_schema import Model, ModelList, ModelPermission
from portico.server.service import Service


def router(service: Service) -> APIRouter:
    """The routes that list what is served."""
    routes = APIRouter(tags=["openai"])

    @routes.get("/v1/models")
    async def list_models() -> ModelList:
        """Every name under which the model is served."""
        return ModelList(data=[_model(name, service) for name in service.settings.model_names])

    @routes.get("/v1/models/{name:path}", responses={404: {"description": "The model is not served here."}})
    async def retrieve_model(name: str) -> Model:
        """One of them; names may have slashes."""
        return _model(service.resolve_model(name), service)

    return routes


def _model(name: str, service: Service) -> Model:
    try:
        length = service.pipeline.engine.loaded.max_model_len
    except EngineError:
        length = None
    return Model(
        id=name,
        created=service.started,
        root=service.settings.model_names[0],
        permission=[ModelPermission(id=f"modelperm-{name}", created=service.started)],
        max_model_len=length,
    )
