from __future__ import annotations

from pathlib import Path

from portico.server.doors.openai.reference import KNOWN_FROM, reference
from portico.server.doors.openai.schema import (
    ChatCompletionRequest,
    CompletionRequest,
    DetokenizeRequest,
    EmbeddingRequest,
    TokenizeRequest,
)

PAGE = Path(__file__).parents[4] / "docs" / "parameters.md"


def test_the_page_is_what_the_schema_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "run: make reference"


def test_every_field_is_described() -> None:
    bodies = (EmbeddingRequest, TokenizeRequest, DetokenizeRequest, CompletionRequest, ChatCompletionRequest)
    fields = {name: field for body in bodies for name, field in body.model_fields.items()}
    assert all(field.description for field in fields.values())
    assert set(KNOWN_FROM) == set(fields)
    assert all(KNOWN_FROM.values())
