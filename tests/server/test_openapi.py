"""The OpenAPI document: valid, whole, true, and with names that do not change unnoticed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from portico.config.compat import CompatName
from portico.server.app import DIALECTS, DOORS, create_app
from portico.server.openapi import operations
from portico.server.settings import ServerSettings
from portico.text.model import TextModel
from tests.server.fake_engine import FakeEngine
from tests.server.harness import SETTINGS, LiveServer, portico

NAMES = Path(__file__).with_name("operations.txt")
WITHOUT_BODY = {"reset", "stats", "verbose_stats", "ping", "cancel_response"}
"""Operations that are POST and read nothing."""
TELLS_NOTHING = {"abort_request"}
OPEN = {"mlc-chat": replace(SETTINGS, compat="mlc-chat", debug=True), "none": replace(SETTINGS, debug=True)}

Document = dict[str, Any]


def document_of(text: TextModel, settings: ServerSettings) -> Document:
    return create_app(FakeEngine(), text, settings).openapi()


@pytest.fixture(scope="module", params=OPEN)
def document(request: pytest.FixtureRequest, text_model: TextModel) -> Document:
    return document_of(text_model, OPEN[request.param])


def test_it_is_valid(document: Document) -> None:
    validate(document)
    assert json.loads(json.dumps(document)) == document


def test_every_operation_is_told_whole(document: Document) -> None:
    for (path, method), operation in operations(document):
        name = operation["operationId"]
        assert operation["tags"], name
        assert len(operation["description"]) > 20, name
        assert ("requestBody" in operation) == (method == "post" and name not in WITHOUT_BODY), name
        for part in path.split("/"):
            if part.startswith("{"):
                assert part.strip("{}") in [parameter["name"] for parameter in operation["parameters"]], name
        for status, response in operation["responses"].items():
            contents = response.get("content", {})
            assert contents or name in TELLS_NOTHING, (name, status)
            for kind, content in contents.items():
                assert content["schema"], (name, status, kind)
        assert "default" in operation["responses"], name
        assert "422" not in operation["responses"], name


def test_every_body_has_an_example_that_is_right(document: Document) -> None:
    bodies = {body.__name__: body for door in DOORS for body in door.BODIES}
    used = set[str]()
    for _, operation in operations(document):
        if "requestBody" not in operation:
            continue
        reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        name = reference.rpartition("/")[2]
        used.add(name)
        examples = document["components"]["schemas"][name].get("examples")
        assert examples, f"{name} has no example: give its model_config a json_schema_extra=example(...)"
        for example in examples:
            bodies[name].model_validate(example)
    assert used <= bodies.keys()


def test_streams_are_told_beside_whole_answers(document: Document) -> None:
    schemas = document["components"]["schemas"]
    for _, operation in operations(document):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        fields = schemas[body["$ref"].rpartition("/")[2]]["properties"] if body else {}
        assert ("stream" in fields) == ("text/event-stream" in operation["responses"]["200"].get("content", {}))


def test_operations_keep_their_names(text_model: TextModel) -> None:
    """Clients that are made from the document have these as names of functions."""
    found = dict[str, str]()
    for settings in OPEN.values():
        one = {
            operation["operationId"]: f"{method.upper()} {path}"
            for (path, method), operation in operations(document_of(text_model, settings))
        }
        assert len(one) == len(list(operations(document_of(text_model, settings))))
        found |= one
    lines = "".join(f"{name} {where}\n" for name, where in sorted(found.items()))
    assert lines == NAMES.read_text(), "names changed: if that is meant, write them to tests/server/operations.txt"


def test_keys_are_told_where_they_are_asked_for(text_model: TextModel) -> None:
    with_keys = document_of(text_model, replace(SETTINGS, api_keys=("secret",)))
    assert with_keys["security"] == [{"key": []}]
    assert with_keys["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert "security" not in document_of(text_model, SETTINGS)


@pytest.fixture(scope="module", params=DIALECTS)
def speaking(request: pytest.FixtureRequest, text_model: TextModel) -> Iterator[LiveServer]:
    compat: CompatName = request.param
    with portico(text_model, replace(SETTINGS, compat=compat)) as server:
        yield server


def test_errors_are_of_the_shape_that_is_told(speaking: LiveServer) -> None:
    with speaking.http() as http:
        document = http.get("/openapi.json").json()
        for (path, method), operation in operations(document):
            if "requestBody" not in operation:
                continue
            answer = http.request(method, path.format(response_id="x", name="x"), content=b"[")
            assert answer.status_code >= 400, path
            responses = operation["responses"]
            told = responses.get(str(answer.status_code), responses["default"])
            check(document, told["content"]["application/json"]["schema"], answer.json())


def test_answers_are_of_the_shape_that_is_told(server: LiveServer) -> None:
    with server.http() as http:
        document = http.get("/openapi.json").json()
        for (path, method), operation in operations(document):
            if method != "get" or "{" in path:
                continue
            answer = http.get(path)
            kind = answer.headers["content-type"].partition(";")[0]
            content = operation["responses"][str(answer.status_code)]["content"][kind]
            check(document, content["schema"], answer.json() if kind == "application/json" else answer.text)


@pytest.mark.parametrize(
    ("path", "name", "asked"),
    [
        ("/v1/chat/completions", "ChatCompletion", {"messages": [{"role": "user", "content": "hi"}], "logprobs": True}),
        ("/v1/completions", "Completion", {"prompt": "hi", "logprobs": 1, "max_tokens": 4}),
    ],
)
def test_pieces_and_wholes_are_of_the_shape_that_is_told(
    path: str, name: str, asked: dict[str, Any], server: LiveServer
) -> None:
    asked |= {"return_token_ids": True}
    with server.http() as http:
        document = http.get("/openapi.json").json()
        check(document, {"$ref": f"#/components/schemas/{name}"}, http.post(path, json=asked).json())
        events = http.post(path, json={**asked, "stream": True, "stream_options": {"include_usage": True}}).text
    chunks = [line.removeprefix("data: ") for line in events.split("\n\n") if line]
    assert chunks.pop() == "[DONE]"
    assert len(chunks) > 2
    for chunk in chunks:
        check(document, {"$ref": f"#/components/schemas/{name}Chunk"}, json.loads(chunk))


def check(document: Document, schema: Document, value: Any) -> None:
    jsonschema.validate(value, {**schema, "components": document["components"]})
