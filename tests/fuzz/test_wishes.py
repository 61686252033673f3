"""Programs that come with requests: templates, schemas, expressions and grammars are honoured or refused."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.errors import CheckpointError, RequestError
from portico.protocol.sampling import Guided
from portico.text import sandbox
from portico.text.grammar import compile_grammar
from portico.text.template import ChatTemplate
from portico.text.tokenizer import SpecialTokens
from tests.fuzz.effort import some

MESSAGES = [{"role": "user", "content": "x" * 50}, {"role": "assistant", "content": "y"}]
NAMES = [
    "messages", "messages[0]", "messages[0].content", "m", "x", "loop", "7", "'ab'", "[1, 2]", "{'a': 1}", "none",
    "ns.x",
]  # fmt: skip
FILTERS = [
    "upper", "list", "join(x)", "tojson", "length", "first", "replace('x', 'yyyy')", "sort", "batch(3)",
    "groupby('role')", "map('string')", "center(900)", "string", "trim", "sum", "unique", "dictsort", "indent(9)",
    "format(1)", "int", "reverse", "slice(99)", "wordwrap(1)", "xmlattr", "default(m)", "attr('__class__')",
    "random",
]  # fmt: skip
expressions = st.recursive(
    st.sampled_from(NAMES),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "~", "*", "**", "%", "//", "in", "==", "<"]), inner).map(" ".join),
        st.tuples(inner, st.sampled_from(FILTERS)).map(" | ".join),
        inner.map("range({})".format),
        inner.map("({})".format),
        inner.map("({}).format(m)".format),
        inner.map("({})[0]".format),
    ),
    max_leaves=6,
)
statements = st.recursive(
    expressions.map("{{{{ {} }}}}".format) | expressions.map("{{% set ns.x = {} %}}".format) | st.text(max_size=5),
    lambda inner: st.one_of(
        st.tuples(expressions, inner).map(lambda p: f"{{% for m in {p[0]} %}}{p[1]}{{% endfor %}}"),
        st.tuples(expressions, inner).map(lambda p: f"{{% if {p[0]} %}}{p[1]}{{% endif %}}"),
        inner.map("{{% macro f(x) %}}{}{{{{ f(x) }}}}{{% endmacro %}}{{{{ f(1) }}}}".format),
        st.tuples(inner, inner).map("".join),
    ),
    max_leaves=6,
)
KEYWORDS = [
    "type", "properties", "items", "anyOf", "allOf", "oneOf", "not", "$ref", "enum", "const", "minItems",
    "maxItems", "minLength", "maxLength", "pattern", "format", "required", "additionalProperties",
    "patternProperties", "minimum", "maximum", "exclusiveMinimum", "prefixItems", "$defs", "if", "then",
    "propertyNames", "x-guidance",
]  # fmt: skip
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(allow_nan=False),
    st.text(max_size=6),
    st.sampled_from("object string integer array # #/$defs/a ^a+$ date-time (a+)+$ \ud800 [".split()),
)
schemas = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYWORDS) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
EXPRESSION_BITS = [
    "a", "(", ")", "[", "]", "{1,10000}", "{,3}", "*", "+", "?", "|", "\\", "\\p{L}", "(?i)", "^", "$", ".", "[^a]",
    "\\b", "(?=", "é", "\x00",
]  # fmt: skip
GRAMMAR_BITS = [
    "start: ", "a: ", "A: ", "root ::= ", "start", "a", "A", '"x"', "/a+/", " | ", "*", "{1,10000}", "(", ")", "\n",
    "%json {", "}", "%ignore ", "%regex ", "[lazy]", "<[1]>", "@a", "~", " & ", "%llguidance {}", '"', "/", "::=",
]  # fmt: skip


@some
@given(statements)
def test_templates(source: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "MAX_SECONDS", 0.05)
        with contextlib.suppress(RequestError, CheckpointError):
            ChatTemplate({"default": source}, SpecialTokens()).render(MESSAGES)


TEMPLATE_BITS = ["{{", "}}", "{%", "%}", "{#", "-", " for ", " in ", "x", "("]


@some
@given(st.text(max_size=60) | st.lists(st.sampled_from(TEMPLATE_BITS), max_size=20).map("".join))
def test_texts_that_are_no_templates(source: str) -> None:
    with contextlib.suppress(RequestError, CheckpointError):
        ChatTemplate({"default": source}, SpecialTokens()).render(MESSAGES)


def tried(**guided: Any) -> None:
    problem = None
    try:
        compile_grammar(Guided(field="x", **guided))
    except RequestError as error:
        problem = error.param
    assert problem in (None, "x")


@some
@given(schemas, st.none() | st.lists(st.sampled_from(EXPRESSION_BITS), max_size=4).map("".join))
def test_schemas(schema: Any, whitespace: str | None) -> None:
    tried(kind="json", value=json.dumps(schema), whitespace=whitespace)


@some
@given(st.lists(st.sampled_from(EXPRESSION_BITS) | st.text(max_size=3), max_size=20).map("".join))
def test_expressions(expression: str) -> None:
    tried(kind="regex", value=expression)


@some
@given(st.lists(st.sampled_from(GRAMMAR_BITS) | st.text(max_size=3), max_size=30).map("".join))
def test_grammars(grammar: str) -> None:
    tried(kind="lark", value=grammar)


@some
@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_choices(choices: list[str]) -> None:
    tried(kind="choice", value=json.dumps(choices))
