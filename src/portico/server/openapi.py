"""The OpenAPI document: what FastAPI finds out, and what it cannot see of routes that read their own bodies."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

METHODS = ("get", "post", "put", "patch", "delete")
JSON = "application/json"
KEY = {"key": {"type": "http", "scheme": "bearer", "description": "One of the keys of --api-key."}}
ABOUT = (
    "One inference engine behind the APIs of several servers. An answer of another status than 200 has an error as its "
    "body. With `stream` an answer is server-sent events."
)

Json = dict[str, Any]


def describe_app(app: FastAPI, bodies: Sequence[type[BaseModel]], error: type[BaseModel], *, keys: bool) -> None:
    """Complete the document of an application.

    Added are the `bodies`, which doors read themselves, `error` as the shape of every error whose route declares no
    other, whether keys are asked for, and operation ids that clients made from the document have as names: those of
    the functions.
    """
    plain = app.openapi

    def openapi() -> Json:
        if app.openapi_schema is None:
            document = plain()
            document["info"]["description"] = ABOUT
            for body in (*bodies, error):
                _add(document, body)
            _name(document)
            for _, operation in operations(document):
                _tell_errors(operation, error)
            _drop_unused(document, ("HTTPValidationError", "ValidationError"))
            if keys:
                document["components"]["securitySchemes"] = KEY
                document["security"] = [{name: [] for name in KEY}]
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def operations(document: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Json]]:
    """Path and method of each, and what it is."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield (path, method), item[method]


def _add(document: Json, model: type[BaseModel]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    for name, found in {**schema.pop("$defs", {}), model.__name__: schema}.items():
        plain = _plain(found)
        if schemas.setdefault(name, plain) != plain:
            raise ValueError(f"two bodies have a part named {name}, and the parts differ")


def _plain(schema: Any) -> Any:
    """Without null defaults: FastAPI leaves them out too, and makers of clients take what has one for required."""
    if isinstance(schema, dict):
        left = {name: _plain(value) for name, value in schema.items()}
        return {name: value for name, value in left.items() if (name, value) != ("default", None)}
    return [_plain(item) for item in schema] if isinstance(schema, list) else schema


def _name(document: Json) -> None:
    """The function's name; where several routes have one function, the first keeps it and others add what differs."""
    groups: dict[str, list[tuple[str, str, Json]]] = defaultdict(list)
    for (path, method), operation in operations(document):
        slug = re.sub(r"\W", "_", f"{path}_{method}")
        groups[operation["operationId"].removesuffix(re.sub(r"\W", "_", path) + "_" + method)].append(
            (path, method, operation)
        )
        assert operation["operationId"].endswith(slug), operation["operationId"]
    for name, routes in groups.items():
        plain = name.rstrip("_")
        main = next((route for route in routes if route[1] == "post"), routes[0])
        for path, method, operation in routes:
            where = "" if path == main[0] else "_at_" + re.sub(r"\W+", "_", path).strip("_")
            how = "" if method == main[1] else f"_by_{method}"
            operation["operationId"] = plain + where + how


def _tell_errors(operation: Json, error: type[BaseModel]) -> None:
    """FastAPI's own error cannot happen: doors check what they read."""
    responses = operation["responses"]
    responses.pop("422", None)
    usual = {
        "description": "An error.",
        "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{error.__name__}"}}},
    }
    other = responses.setdefault("default", usual)
    for status, response in responses.items():
        if not status.startswith("2") and "content" not in response:
            response["content"] = other["content"]


def _drop_unused(document: Json, names: Sequence[str]) -> None:
    for name in names:
        document["components"]["schemas"].pop(name, None)
