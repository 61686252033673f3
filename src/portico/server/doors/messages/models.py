"""GET /v1/models and GET /v1/models/{name} for Anthropic's clients, which say in a header that they are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from portico.errors import EngineError
from portico.server.doors.messages.errors import is_of_anthropic
from portico.server.doors.messages.schema import ModelPage
from portico.server.service import Service
from portico.server.wording import wrong

MOST = 1000
"""Models of a page."""


class OfAnthropic(APIRoute):
    """A route that others do not see, who then come to the one of the same path behind it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See Starlette."""
        return super().matches(scope) if is_of_anthropic(scope) else (Match.NONE, {})


def router(service: Service) -> APIRouter:
    """The routes that list what is served."""
    # Described once, as OpenAI's: a document has one entry for a path.
    routes = APIRouter(route_class=OfAnthropic, include_in_schema=False)

    @routes.get("/v1/models")
    async def list_models(limit: str = "20", after_id: str | None = None, before_id: str | None = None) -> ModelPage:
        """Every name under which the model is served, a page of them."""
        if not limit.isdecimal() or not 1 <= int(limit) <= MOST:
            raise wrong("limit", f"is {limit!r:.80}; it must be from 1 to {MOST}")
        names = service.settings.model_names
        size = int(limit)
        if before_id in names:
            names = names[: names.index(before_id)]
            shown = names[-size:]
        else:
            names = names[names.index(after_id) + 1 :] if after_id in names else names
            shown = names[:size]
        return ModelPage(
            data=[_model(name, service) for name in shown],
            has_more=len(shown) < len(names),
            first_id=shown[0] if shown else None,
            last_id=shown[-1] if shown else None,
        )

    @routes.get("/v1/models/{name:path}")
    async def retrieve_model(name: str) -> dict[str, Any]:
        """One of them; names may have slashes."""
        return _model(service.resolve_model(name), service)

    return routes


def _model(name: str, service: Service) -> dict[str, Any]:
    try:
        length = service.pipeline.engine.loaded.max_model_len
    except EngineError:
        length = None
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": datetime.fromtimestamp(service.started, UTC).isoformat(),
        "lifecycle": "active",
        "max_input_tokens": length,
        "max_tokens": length,
    }
