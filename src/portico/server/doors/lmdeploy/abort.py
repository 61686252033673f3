"""POST /abort_request: ending what runs in a conversation, or everything."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from portico.errors import RequestError
from portico.server.body import read_body
from portico.server.describe import accepts
from portico.server.doors.lmdeploy.errors import FLAT_ERRORS, FlatErrors
from portico.server.doors.lmdeploy.schema import NEW_SESSION, AbortRequest
from portico.server.fields import check_extra
from portico.server.middleware import context_of
from portico.server.service import Service

NOT_ENABLED = 501


def router(service: Service) -> APIRouter:
    """The route that ends requests; all of them only with `--enable-abort-handling`."""
    routes = APIRouter(tags=["lmdeploy"], route_class=FlatErrors, responses=FLAT_ERRORS)

    @routes.post("/abort_request", **accepts(AbortRequest))
    async def abort_request(http: Request) -> Response:
        """End what runs under a session_id of the same API key, or, where that is allowed, whatever runs."""
        body = await read_body(http, AbortRequest)
        headers = check_extra(body.model_extra or {}, {"abort_message": (), "finished_reason": ()}, service)
        if body.abort_all:
            if not service.settings.abort_all:
                return PlainTextResponse("abort_all needs --enable-abort-handling", NOT_ENABLED, headers)
            await service.engine.abort_all()
            return Response(headers=headers)
        key = service.session(context_of(http.scope).key_digest, str(body.session_id))
        if body.session_id == NEW_SESSION or not await service.sessions.stop(key):
            raise RequestError(f"Session {body.session_id} not found.", param="session_id", code="invalid_value")
        return Response(headers=headers)

    return routes
