"""Grammars of answers that have a form behind their thinking: what they let through, and what not."""

from __future__ import annotations

import json

import pytest
from llguidance import LLMatcher, LLTokenizer
from tokenizers import AddedToken

from portico.protocol.request import ThinkWish
from portico.protocol.sampling import Guided
from portico.text.grammar import compile_grammar
from portico.text.reasoning import Reasoning
from portico.text.thinking import BY_NAME
from portico.text.tokenizer import SpecialTokens, Tokenizer
from tests.text import folders

FORMS = {
    "json": (Guided(kind="json", value=json.dumps({"const": {"a": 1}})), '{"a": 1}', '{"a": 2}'),
    "regex": (Guided(kind="regex", value="[0-9]{3}"), "123", "12a"),
    "choice": (Guided(kind="choice", value='["yes", "no"]'), "yes", "maybe"),
    "lark": (Guided(kind="lark", value='start: "a"+ word\nword: "b"'), "aab", "b"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("thinks", ["qwen3", "granite", "kimi"])
@pytest.mark.parametrize("as_tokens", [False, True])
@pytest.mark.parametrize("inside", [False, True])
def test_the_form_begins_behind_the_thinking(form: str, thinks: str, as_tokens: bool, inside: bool) -> None:
    marks = BY_NAME[thinks]
    rust = folders.byte_level()
    if as_tokens:
        markers = [AddedToken(mark, special=True) for mark in (*marks.begins, *marks.ends)]
        rust.add_special_tokens(markers)
    guide, tokenizer = LLTokenizer(rust.to_str()), Tokenizer(rust, SpecialTokens())
    guided, right, wrong = FORMS[form]
    grammar = Reasoning(marks, ThinkWish(), inside).before(compile_grammar(guided), tokenizer)

    def accepts(text: str) -> bool:
        ids = tokenizer.encode(text, add_special_tokens=False)
        matcher = LLMatcher(guide, grammar)
        return matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()

    thought = f"{'' if inside else marks.begins[-1]}\nIt is < 5,\n{right}; so {{\n{marks.ends[-1]}\n\n"
    assert accepts(thought + right)
    assert not accepts(thought + wrong)
    assert not accepts(thought)
    assert accepts(right) is not inside
    assert not accepts(wrong)
