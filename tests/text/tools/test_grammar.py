"""Whatever a grammar of calls lets through is read back as calls that match their schemas."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer
from tokenizers import Tokenizer as RustTokenizer

from portico.demo import demo_folder
from portico.errors import RequestError
from portico.text.tokenizer import Tokenizer
from portico.text.tools.format import Toolbox, ToolFormat
from portico.text.tools.grammar import check_schemas, checked_calls, forced_calls
from portico.text.tools.marked import json_body, marked
from portico.text.tools.reader import ToolReader
from portico.text.tools.registry import FORMATS
from tests.text.tools.written import Read, add_up

ODD = ["left", "</tool_call>", '"', "é", "a\nb", "</arg_value", "\\", "", " x "]
PICK: dict[str, Any] = {
    "type": "object",
    "properties": {
        "side": {"enum": ODD},
        "count": {"type": "integer", "minimum": 0, "maximum": 99},
    },
    "required": ["side", "count"],
    "additionalProperties": False,
}
STOP: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
SCHEMAS: dict[str, dict[str, Any]] = {"pick": PICK, "stop": STOP}


def objects(properties: dict[str, Any]) -> dict[str, Any]:
    """Every second argument is needed."""
    needed = list(properties)[::2]
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


strings = st.one_of(
    st.just({"type": "string", "maxLength": 9}),
    st.builds(
        lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more}, *[st.integers(0, 5)] * 2
    ),
    st.sampled_from(["^[a-z]{1,3}$", "[0-9]{2}", "^a/b?", "x$"]).map(
        lambda pattern: {"type": "string", "pattern": pattern, "maxLength": 6}
    ),
    st.just({"type": "string", "format": "date"}),
    st.lists(st.sampled_from(ODD), min_size=2, unique=True).map(lambda options: {"enum": options}),
    # llguidance spells a text that must follow with tokens that it then refuses, where it is one of angle brackets.
    st.sampled_from([text for text in ODD if "/" not in text]).map(lambda text: {"type": "string", "const": text}),
)
scalars = st.one_of(
    strings,
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"type": "integer", "minimum": -5, "maximum": 500}),
    st.just({"type": "number", "minimum": 0, "maximum": 1}),
    st.just({"enum": [1, "1", None, True, [2], "</parameter>"]}),
    st.just({"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]}),
    st.just({"$ref": "#/$defs/shared"}),
)
nested = st.recursive(
    scalars,
    lambda inner: st.one_of(
        inner.map(lambda items: {"type": "array", "items": items, "maxItems": 2}),
        st.dictionaries(st.sampled_from(["a", "name", "arguments", "</parameter>"]), inner, max_size=2).map(objects),
    ),
    max_leaves=3,
)

names = st.sampled_from(["side", "count", "city_2", "name", "größe"])
parameters = st.dictionaries(names, nested, max_size=4).map(
    lambda properties: {**objects(properties), "$defs": {"shared": {"type": "array", "items": {"enum": ["r", '"']}}}}
)


def special(form: ToolFormat) -> RustTokenizer:
    """The bundled model's tokens, and the markers of the form as special ones besides."""
    tokenizer = RustTokenizer.from_file(str(demo_folder() / "tokenizer.json"))
    tokenizer.add_special_tokens(list(form.markers))
    return tokenizer


class Guide:
    """Random walks through the grammars of one form."""

    def __init__(self, tokenizer: RustTokenizer, folder: Any) -> None:
        tokenizer.save(str(folder / "tokenizer.json"))
        self.text = Tokenizer.load(folder)
        self.tokens = LLTokenizer(tokenizer.to_str())
        self.ends = [self.ids(end) for end in ("\n</parameter>", "</parameter>", "\n</arg_value>", "</arg_value>")]
        self.closing = {token for sign in '"}])<\n' if (token := tokenizer.token_to_id(sign)) is not None}

    def refused(self, grammar: str, *parts: str | list[int]) -> str:
        """The rest of texts and tokens that the grammar does not let through."""
        ids = [token for part in parts for token in (self.ids(part) if isinstance(part, str) else part)]
        count = LLMatcher(self.tokens, grammar).try_consume_tokens(ids)
        return self.text.decode(ids[count:], skip_special_tokens=False)

    def ids(self, text: str) -> list[int]:
        return self.text.encode(text, add_special_tokens=False)

    def walk(self, grammar: str, rng: random.Random, begin: str = "", most: int = 3000) -> list[int]:
        """Random tokens that the grammar lets through behind `begin`, up to a place where it lets them end."""
        tokens = self.ids(begin)
        matcher = LLMatcher(self.tokens, grammar)
        assert matcher.try_consume_tokens(tokens) == len(tokens), (begin, matcher.get_error())
        while not (matcher.is_accepting() and rng.random() < 0.5) and not matcher.is_stopped():
            if rng.random() < 0.1:  # bare strings would hardly find their end by chance
                for end in self.ends:
                    if matcher.validate_tokens(end) == len(end):
                        assert matcher.try_consume_tokens(end) == len(end)
                        tokens += end
            bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")
            allowed = [int(token) for token in np.flatnonzero(bits) if token != self.tokens.eos_token]
            assert allowed, matcher.get_error()
            closing = [token for token in allowed if token in self.closing]
            token = rng.choice(closing if closing and rng.random() < 0.5 else allowed)
            assert matcher.consume_token(token)
            tokens.append(token)
            assert len(tokens) < most
        return tokens

    def read(self, form: ToolFormat, toolbox: Toolbox, tokens: list[int], must_call: tuple[str, ...] = ()) -> Read:
        reader, detokenizer = (
            ToolReader(form, toolbox, None, must_call),
            self.text.detokenizer(skip_special_tokens=False),
        )
        pieces = [piece for token in tokens for piece in reader.push(detokenizer.push(token))]
        return add_up([*pieces, *reader.end()])


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "special"])
def guides(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Guide]:
    """By form: with the bundled model's tokens alone, and with its markers as tokens."""
    return {
        form.name: Guide(
            special(form) if request.param else RustTokenizer.from_file(str(demo_folder() / "tokenizer.json")),
            tmp_path_factory.mktemp("tokenizer"),
        )
        for form in FORMATS
    }


def check(told: Read, schemas: dict[str, Any]) -> None:
    for name, arguments in told.calls:
        jsonschema.validate(json.loads(arguments), schemas[name])


each = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)


@each
@settings(max_examples=5, deadline=None)
@given(schema=parameters, seed=st.integers(0, 2**32), parallel=st.booleans())
def test_calls_that_must_be_made(
    form: ToolFormat, schema: dict[str, Any], seed: int, parallel: bool, guides: dict[str, Guide]
) -> None:
    guide, rng = guides[form.name], random.Random(seed)
    schemas = {"pick": schema, "stop": STOP}
    toolbox = Toolbox(schemas)
    assert form.spelling is not None
    if form.spelling.arguments.problem(schema):
        return
    grammar = forced_calls(form.spelling, toolbox, list(schemas), parallel, guide.text.control_id)
    told = guide.read(form, toolbox, guide.walk(grammar, rng))
    check(told, schemas)
    assert told.said == ""
    assert len(told.calls) == 1 or (parallel and told.calls)


BEGINS = {
    "llama3_json": '{"name": "pick"',
    "json_list": '[{"name": "pick"',
    "glm4": "pick\n{",
    "pythonic": "[pick(",
    "qwen3_coder": "<function=pick>",
    "glm45": "<tool_call>pick\n",
}
"""How a call begins in forms without a marker that is followed by nothing but JSON."""


@each
@settings(max_examples=5, deadline=None)
@given(schema=parameters, seed=st.integers(0, 2**32), before=st.sampled_from(["", "Let me see.\n", "\n\n"]))
def test_strict_calls(
    form: ToolFormat, schema: dict[str, Any], seed: int, before: str, guides: dict[str, Guide]
) -> None:
    guide, rng = guides[form.name], random.Random(seed)
    assert form.spelling is not None
    schemas = {"free": {}, "pick": schema, "stop": STOP}
    toolbox = Toolbox(schemas, frozenset({"pick", "stop"}))
    if form.spelling.arguments.problem(schema):
        return
    grammar = checked_calls(form, toolbox, guide.text.control_id)
    begin = before + BEGINS.get(form.name, form.trigger)
    told = guide.read(form, toolbox, guide.walk(grammar, rng, begin))
    assert told.said.strip().startswith(before.strip())
    assert told.calls
    check(told, schemas)


@each
def test_strict_tools_leave_text_as_it_is(form: ToolFormat, guides: dict[str, Guide]) -> None:
    toolbox = Toolbox(SCHEMAS, frozenset(SCHEMAS))
    grammar = checked_calls(form, toolbox, guides[form.name].text.control_id)
    for text in (
        "The answer is 5 < 6.",
        "To pick or to stop, that is [the] question (or not).",
        '```json\n{"a": [1, {"name": "Ann"}]}\n```\nSo it goes.\n{"x": 1}',
        "- stop it\n- pick\n\nThen go on.",
        "[1, 2] and [stop, pick]",
    ):
        assert guides[form.name].refused(grammar, text) == ""
    for rival in form.rivals:
        assert guides[form.name].refused(grammar, f"So:\n{rival}") != ""


@each
def test_strict_calls_may_follow_text_and_each_other(form: ToolFormat, guides: dict[str, Guide]) -> None:
    guide, toolbox = guides[form.name], Toolbox(SCHEMAS, frozenset(SCHEMAS))
    assert form.spelling is not None
    grammar = checked_calls(form, toolbox, guide.text.control_id)
    several = forced_calls(form.spelling, toolbox, list(SCHEMAS), True, guide.text.control_id)
    rng = random.Random(form.name)
    for before in ("", "So.\n"):
        assert guide.refused(grammar, before, guide.walk(several, rng), "\nDone.") == ""


@each
def test_a_call_that_is_cut_off_anywhere(form: ToolFormat, guides: dict[str, Guide]) -> None:
    """What there is of it are a call and the beginning of its arguments, in whatever pieces it comes."""
    guide, toolbox = guides[form.name], Toolbox(SCHEMAS)
    assert form.spelling is not None
    grammar = forced_calls(form.spelling, toolbox, ["pick"], False, guide.text.control_id)
    tokens = guide.walk(grammar, random.Random(form.name))
    whole = guide.read(form, toolbox, tokens, ("pick",))
    for count in range(1, len(tokens)):
        told = guide.read(form, toolbox, tokens[:count], ("pick",))
        assert told.said == ""
        [(name, arguments)] = told.calls
        assert name == "pick"
        if form.spelling.arguments.rules("a", PICK, guide.text.control_id)[0].startswith("a: %json"):
            assert whole.calls[0][1].startswith(arguments)
    several = forced_calls(form.spelling, toolbox, list(SCHEMAS), True, guide.text.control_id)
    tokens = guide.walk(several, random.Random(form.name))
    whole = guide.read(form, toolbox, tokens, tuple(SCHEMAS))
    for count in range(1, len(tokens)):
        told = guide.read(form, toolbox, tokens[:count], tuple(SCHEMAS))
        assert told.said == ""
        assert [name for name, _ in told.calls] == [name for name, _ in whole.calls][: len(told.calls)]


def test_a_form_of_which_nothing_is_known_cannot_be_held() -> None:
    mine = ToolFormat("mine", marked(("CALL:",), json_body()))
    with pytest.raises(RequestError, match="mine") as raised:
        checked_calls(mine, Toolbox(SCHEMAS, frozenset(SCHEMAS)), lambda text: None)
    assert raised.value.param == "tools"


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"type": "object", "properties": {"a": {"type": "string", "format": "email"}}}, "format 'email'"),
        ({"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)"}}}, "cannot be honoured"),
        ({"type": "object", "properties": {}, "anyOf": [{"required": ["a"]}]}, "anyOf"),
        ({"type": "object", "properties": {"a<": {}}}, "a<"),
        ({"type": "object", "required": ["a"]}, "'a'"),
        ({"type": "object", "properties": {"a": {"$ref": "#/properties/b"}, "b": {"type": "null"}}}, "\\$ref"),
    ],
)
def test_what_a_form_cannot_hold_is_named(schema: dict[str, Any], keyword: str) -> None:
    form = next(form for form in FORMATS if form.name == "qwen3_coder")
    assert form.spelling is not None
    with pytest.raises(RequestError, match=keyword) as raised:
        check_schemas(Toolbox({"f": schema}), ["f"], form.spelling.arguments)
    assert raised.value.param == "tools.0.function.parameters"
