from __future__ import annotations

import re
from typing import Any

from portico.config.compat import SERVERS
from portico.server.app import DIALECTS
from tests.server.harness import LiveServer


def test_the_openapi_document_describes_what_doors_read_themselves(server: LiveServer) -> None:
    document = server.http().get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    chat = document["paths"]["/v1/chat/completions"]["post"]
    reference = chat["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert reference == "#/components/schemas/ChatCompletionRequest"
    assert {"messages", "temperature", "stream"} <= schemas["ChatCompletionRequest"]["properties"].keys()
    for name in references(document):
        assert name in schemas


def test_the_documentation_page_is_there(server: LiveServer) -> None:
    answer = server.http().get("/docs")
    assert answer.status_code == 200
    assert "/openapi.json" in answer.text
    assets = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert assets
    for asset in assets:  # nothing comes from elsewhere
        assert asset.startswith("/")
        assert server.http().get(asset).status_code == 200


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"].removeprefix("#/components/schemas/")] if "$ref" in value else []
        return own + [name for item in value.values() for name in references(item)]
    if isinstance(value, list):
        return [name for item in value for name in references(item)]
    return []


def test_each_habit_that_may_be_asked_for_is_a_dialect() -> None:
    assert set(DIALECTS) == set(SERVERS.values())
