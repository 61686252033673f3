from __future__ import annotations

import json
from typing import Any

import pytest

from portico.errors import RequestError
from portico.protocol.sampling import Guided
from portico.server.doors.openai.guided import ANY_OBJECT, read_guided
from portico.server.doors.openai.schema import CompletionRequest

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
TEXT = json.dumps(SCHEMA)


def read(**fields: Any) -> Guided | None:
    return read_guided(CompletionRequest.model_validate({"prompt": "x", **fields}))


@pytest.mark.parametrize(
    ("fields", "kind", "value"),
    [
        ({"guided_json": SCHEMA}, "json", TEXT),
        ({"guided_json": TEXT}, "json", TEXT),
        ({"guided_regex": "a+"}, "regex", "a+"),
        ({"guided_choice": ["a", "b"]}, "choice", '["a", "b"]'),
        ({"guided_grammar": 'start: "a"'}, "lark", 'start: "a"'),
        ({"guided_json": SCHEMA, "guided_decoding_backend": "outlines"}, "json", TEXT),
        ({"response_format": {"type": "json_object"}}, "json", ANY_OBJECT),
        ({"response_format": {"type": "json_object", "schema": TEXT}}, "json", TEXT),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}}, "json", TEXT),
        ({"response_format": {"type": "regex_schema", "regex_schema": "a|b"}}, "regex", "a|b"),
        ({"structured_outputs": {"json": SCHEMA}}, "json", TEXT),
        ({"structured_outputs": {"json_object": True}}, "json", ANY_OBJECT),
        ({"structured_outputs": {"regex": "a", "choice": None}}, "regex", "a"),
        ({"structured_outputs": {"grammar": "g"}}, "lark", "g"),
        ({"structured_outputs": {"choice": ["x"]}}, "choice", '["x"]'),
    ],
)
def test_every_way_to_ask(fields: dict[str, Any], kind: str, value: str) -> None:
    guided = read(**fields)
    assert guided is not None
    assert (guided.kind, guided.value) == (kind, value)
    assert guided.field.split(".")[0] in fields


def test_what_asks_for_nothing() -> None:
    assert read() is None
    assert read(response_format={"type": "text"}, structured_outputs=None) is None


def test_whitespace_is_part_of_the_wish() -> None:
    for fields in (
        {"guided_json": SCHEMA, "guided_whitespace_pattern": r"\n?"},
        {"structured_outputs": {"json": SCHEMA, "whitespace_pattern": r"\n?"}},
    ):
        guided = read(**fields)
        assert guided is not None
        assert guided.whitespace == r"\n?"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"guided_json": SCHEMA, "guided_regex": "a"}, "guided_regex"),
        ({"guided_regex": "a", "response_format": {"type": "json_object"}}, "response_format"),
        ({"guided_whitespace_pattern": " "}, "guided_whitespace_pattern"),
        ({"guided_choice": []}, "guided_choice"),
        ({"guided_choice": [""]}, "guided_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "regex_schema"}}, "response_format.regex_schema"),
        ({"structured_outputs": {}}, "structured_outputs"),
        ({"structured_outputs": {"json": SCHEMA, "regex": "a"}}, "structured_outputs"),
        ({"structured_outputs": {"json": 5}}, "structured_outputs.json"),
        ({"structured_outputs": {"structural_tag": "x"}}, "structured_outputs.structural_tag"),
    ],
)
def test_what_cannot_be_read_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(**fields)
    assert caught.value.param == param
