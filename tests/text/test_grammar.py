from __future__ import annotations

import json

import pytest

from portico.errors import RequestError
from portico.protocol.limits import LIMITS
from portico.protocol.sampling import Guided
from portico.text.grammar import compile_grammar


def deep(levels: int) -> str:
    return '{"properties": {"a": ' * levels + "{}" + "}}" * levels


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("json", '{"if": {"type": "object"}}', '"if"'),
        ("json", "{", "not JSON"),
        ("json", "[1]", "object is expected"),
        ("json", '{"type": "dog"}', "dog"),
        ("json", '{"$ref": "https://elsewhere/schema"}', "elsewhere"),
        ("json", deep(40), "levels"),
        ("json", "[" * 100_000, "not JSON"),
        ("json", f'{{"const": "{"x" * LIMITS.grammar_characters}"}}', str(LIMITS.grammar_characters)),
        ("regex", "[a", "unclosed"),
        ("lark", "start: nothing", "nothing"),
        ("lark", "root ::= nothing", "nothing"),
    ],
)
def test_what_cannot_be_honoured_is_named(kind: str, value: str, words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        compile_grammar(Guided(kind=kind, value=value, field="guided_x"))  # type: ignore[arg-type]
    assert caught.value.param == "guided_x"
    assert caught.value.message.startswith("guided_x ")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("json", '{"type": "object"}'),
        ("json", "true"),
        ("regex", r"\d+"),
        ("choice", json.dumps(['say "yes"', "no\nno", "也许", "\\"])),
        ("lark", 'start: "a"+'),
        ("lark", 'root ::= "a"+'),
    ],
)
def test_what_can(kind: str, value: str) -> None:
    assert compile_grammar(Guided(kind=kind, value=value))  # type: ignore[arg-type]
