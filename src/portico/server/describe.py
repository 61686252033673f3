"""How a route that reads its own body is described in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import Response

EVENTS = "text/event-stream"


class ErrorFields(BaseModel):
    """What went wrong."""

    message: str
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = Field(description="The field of the request that it is about, if it is about one.")
    code: str | None = Field(examples=["invalid_value"])


class ErrorAnswer(BaseModel):
    """The answer of a request that failed, in OpenAI's shape."""

    error: ErrorFields


def example(**fields: Any) -> dict[str, Any]:
    """`json_schema_extra` of a body: what a whole request may look like."""
    return {"examples": [fields]}


def reads(body: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """The argument `openapi_extra` of a route that reads its own body."""
    schema = {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}}
    return {"requestBody": {"required": required, "content": {"application/json": schema}}}


def accepts(body: type[BaseModel]) -> dict[str, Any]:
    """Arguments of a route that reads its own body and has nothing to tell."""
    return {"response_model": None, "openapi_extra": reads(body), "response_class": Response}


def describe(body: type[BaseModel], answer: type[BaseModel], event: type[BaseModel] | None = None) -> dict[str, Any]:
    """Arguments of a route that reads its own body and writes its own answer, or a stream of events.

    An `event` that ends with `[DONE]` and has one form may be named; it stands in the door's BODIES too.
    """
    whole: dict[str, Any] = {"model": answer, "description": "The answer."}
    if "stream" in body.model_fields:
        whole["description"] = "The answer; with `stream`, server-sent events."
        events: dict[str, Any] = {"type": "string", "description": "Each event has JSON behind `data: `."}
        if event is not None:
            events["description"] = f"Each event is `data: ` and a {event.__name__} as JSON; the last is `[DONE]`."
        whole["content"] = {EVENTS: {"schema": events}}
    return {
        "response_model": None,
        "openapi_extra": reads(body),
        "responses": {
            200: whole,
            400: {"description": "A field is wrong or not supported; `error.param` names it."},
            404: {"description": "The model is not served here."},
            503: {"description": "The model is being loaded, or the engine has failed."},
        },
    }
