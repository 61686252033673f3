from __future__ import annotations

from pathlib import Path

from portico.server.doors.responses.reference import INNER, reference
from portico.server.doors.responses.schema import CreateResponse

PAGE = Path(__file__).parents[4] / "docs" / "responses-parameters.md"


def test_the_page_is_what_the_schema_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "run: make reference"


def test_every_field_is_described() -> None:
    for body in (CreateResponse, *INNER.values()):
        assert all(field.description for field in body.model_fields.values())
