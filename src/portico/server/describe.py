"""How a route that reads its own body is described in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def accepts(body: type[BaseModel]) -> dict[str, Any]:
    """Arguments of a route that reads its own body and has nothing to tell."""
    schema = {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}}
    return {
        "response_model": None,
        "openapi_extra": {"requestBody": {"required": True, "content": {"application/json": schema}}},
    }


def describe(body: type[BaseModel], answer: type[BaseModel]) -> dict[str, Any]:
    """Arguments of a route that reads its own body and writes its own answer."""
    return {
        **accepts(body),
        "responses": {
            200: {
                "model": answer,
                "description": "The answer; with `stream`, server-sent events.",
                "content": {"text/event-stream": {}},
            },
            400: {"description": "A field is wrong or not supported; `error.param` names it."},
            404: {"description": "The model is not served here."},
            503: {"description": "The model is being loaded, or the engine has failed."},
        },
    }
