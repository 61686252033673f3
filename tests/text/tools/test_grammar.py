"""Whatever a grammar of calls lets through is read back as calls that match their schemas."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema
import numpy as np
import pytest
from llguidance import LLMatcher, LLTokenizer

from portico.demo import demo_folder
from portico.text.tokenizer import Tokenizer
from portico.text.tools.format import Toolbox, ToolFormat
from portico.text.tools.grammar import checked_calls, forced_calls
from portico.text.tools.reader import ToolReader
from portico.text.tools.registry import FORMATS
from tests.text.tools.written import Read, add_up

SCHEMAS: dict[str, Any] = {
    "pick": {
        "type": "object",
        "properties": {
            "side": {"enum": ["left", "</tool_call>", '"', "é"]},
            "count": {"type": "integer", "minimum": 0, "maximum": 99},
        },
        "required": ["side", "count"],
        "additionalProperties": False,
    },
    "stop": {"type": "object", "properties": {}, "additionalProperties": False},
}
TOOLBOX = Toolbox(SCHEMAS, frozenset(SCHEMAS))
WALKS = 6


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.load(demo_folder())


@pytest.fixture(scope="module")
def guide() -> LLTokenizer:
    return LLTokenizer((demo_folder() / "tokenizer.json").read_text())


def walk(guide: LLTokenizer, grammar: str, rng: random.Random, begin: tuple[int, ...] = ()) -> list[int]:
    """Random tokens that the grammar lets through, up to a place where it lets them end."""
    matcher = LLMatcher(guide, grammar)
    assert matcher.try_consume_tokens(list(begin)) == len(begin), matcher.get_error()
    tokens = list(begin)
    while not (matcher.is_accepting() and rng.random() < 0.5) and not matcher.is_stopped():
        bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")
        allowed = [int(token) for token in np.flatnonzero(bits) if token != guide.eos_token]
        if not allowed:
            break
        token = rng.choice(allowed)
        assert matcher.consume_token(token)
        tokens.append(token)
        assert len(tokens) < 2000
    assert matcher.is_accepting()
    return tokens


def read(form: ToolFormat, tokenizer: Tokenizer, tokens: list[int]) -> Read:
    reader, detokenizer = ToolReader(form, TOOLBOX), tokenizer.detokenizer(skip_special_tokens=False)
    pieces = [piece for token in tokens for piece in reader.push(detokenizer.push(token))]
    return add_up([*pieces, *reader.end()])


def check(told: Read) -> None:
    for name, arguments in told.calls:
        jsonschema.validate(json.loads(arguments), SCHEMAS[name])


@pytest.mark.parametrize("form", [form for form in FORMATS if form.spelling], ids=lambda form: form.name)
@pytest.mark.parametrize("parallel", [False, True])
def test_calls_that_must_be_made(form: ToolFormat, parallel: bool, tokenizer: Tokenizer, guide: LLTokenizer) -> None:
    assert form.spelling is not None
    grammar = forced_calls(form.spelling, TOOLBOX, list(SCHEMAS), parallel, tokenizer.control_id)
    rng = random.Random(form.name)
    for _ in range(WALKS):
        told = read(form, tokenizer, walk(guide, grammar, rng))
        check(told)
        assert told.said == ""
        assert len(told.calls) == 1 or (parallel and told.calls)


@pytest.mark.parametrize("form", [form for form in FORMATS if form.trigger], ids=lambda form: form.name)
def test_strict_calls(form: ToolFormat, tokenizer: Tokenizer, guide: LLTokenizer) -> None:
    assert form.spelling is not None
    grammar = checked_calls(form.spelling, form.trigger, TOOLBOX, tokenizer.control_id)
    rng = random.Random(form.name)
    begin = tokenizer.encode("Let me see.\n" + form.trigger, add_special_tokens=False)
    plain = tokenizer.encode("The answer is 5 < 6.", add_special_tokens=False)
    assert LLMatcher(guide, grammar).try_consume_tokens(plain) == len(plain)
    for _ in range(WALKS):
        told = read(form, tokenizer, walk(guide, grammar, rng, tuple(begin)))
        assert told.said.startswith("Let me see.")
        assert told.calls
        check(Read("", told.calls[:1]))
