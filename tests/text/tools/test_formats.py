from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.text.tools.llama import LLAMA3_JSON
from portico.text.tools.output import Argued, Called
from portico.text.tools.reader import ToolReader
from tests.text.tools.written import TOOLBOX, WRITTEN, Call, Read, Written, read, schemas

JSON_BITS = (
    '{"name": "',
    '{"name": "f"',
    '"arguments": ',
    '"parameters": {',
    '{"city": ',
    '"x\\',
    '"',
    "{",
    "}",
    ", ",
    "null",
)
OTHER_BITS = ("Hello ", "\n", " ", "<", "é😀", "1", "\\u00e9", "text")
each = pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)

plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<[{_"), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
arguments = st.fixed_dictionaries(
    {},
    optional={
        "city": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<"), max_size=12),
        "unit": st.sampled_from(["C", "F"]),
        "days": st.integers(),
        "parts": st.lists(st.text("ab\"'\\\n,é()[]{}", max_size=5), max_size=3),
        "deep": st.dictionaries(st.text("ab", max_size=2), values, max_size=2),
        "on": st.booleans(),
    },
)
calls = st.lists(st.tuples(st.sampled_from(["get_weather", "f"]), arguments), min_size=1, max_size=3)
cuts = st.lists(st.integers(1, 200), max_size=30)


def nearly(written: Written) -> st.SearchStrategy[str]:
    """Texts of which some are calls and most break off or go wrong somewhere."""
    bits = st.sampled_from([*written.fragments * 3, *JSON_BITS, *OTHER_BITS])
    whole = st.lists(st.tuples(st.just("f"), st.just({"city": "x"})), min_size=1, max_size=2).map(written.write)
    return st.lists(bits | whole | st.text(max_size=3), max_size=12).map("".join)


@each
@settings(max_examples=150, deadline=None)
@given(data=st.data(), cuts=cuts)
def test_any_split_of_any_text_adds_up_to_the_same(written: Written, data: st.DataObject, cuts: list[int]) -> None:
    text = data.draw(nearly(written))
    whole = read(written.form, text)
    assert read(written.form, text, cuts) == whole
    assert read(written.form, text, range(len(text))) == whole
    if not whole.calls and not written.form.frames:
        assert whole.said == text


@each
@settings(max_examples=100, deadline=None)
@given(made=calls, cuts=cuts)
def test_calls_come_back_as_they_were_written(written: Written, made: list[Call], cuts: list[int]) -> None:
    text = written.write(made)
    assert Read("", read(written.form, text, cuts).calls) == read(written.form, text)
    assert read(written.form, text, cuts).parsed == made


@each
@settings(max_examples=60, deadline=None)
@given(before=plain, after=plain, made=calls)
def test_text_before_and_behind_is_said(written: Written, before: str, after: str, made: list[Call]) -> None:
    told = read(written.form, f"{before}\n{written.write(made)}\n\n{after}")
    assert told.parsed == made
    assert told.said.split() == [*before.split(), *after.split()]
    assert told.said.startswith(before.rstrip(" \t\r\n"))


@each
def test_the_arguments_of_a_call_come_while_they_are_written(written: Written) -> None:
    made: list[Call] = [("f", {"city": "A long name of a town by the sea", "parts": ["one", "two", "three"]})]
    reader = ToolReader(written.form, TOOLBOX)
    streamed = [reader.push(character) for character in written.write(made)]
    assert sum(isinstance(piece, Argued) for pieces in streamed for piece in pieces) >= (
        2 if written.form.name == "pythonic" else 20
    )
    assert sum(isinstance(piece, Called) for pieces in streamed for piece in pieces) == 1


@each
def test_a_call_without_parameters_has_an_empty_object(written: Written) -> None:
    assert read(written.form, written.write([("f", {})])).calls == (("f", "{}"),)


@each
def test_only_so_many_calls_as_are_wanted(written: Written) -> None:
    text = written.write([("f", {"days": 1}), ("get_weather", {"days": 2})])
    assert read(written.form, text, range(len(text)), most_calls=1).parsed == [("f", {"days": 1})]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("hermes", '<tool_call>{"name": "f"}</tool_call>', [("f", "{}")]),
        ("hermes", '<tool_call>{"name": "f", "arguments": null}</tool_call>', [("f", "{}")]),
        ("hermes", '<tool_call>{"arguments": {"a": [1]}, "name": "f"}</tool_call>', [("f", '{"a": [1]}')]),
        ("hermes", '<tool_call>{"name": "f", "arguments": "{\\"a\\": \\"\\ud83d\\ude00\\"}"}', [("f", '{"a": "😀"}')]),
        ("hermes", '<tool_call>{"name": "f", "arguments": {"a": 1}</tool_call>', [("f", '{"a": 1}')]),
        ("hermes", '<tool_call>{"name": "f", "arguments": {"a": "</tool_call>"}}', [("f", '{"a": "</tool_call>"}')]),
        ("hermes", '<tool_call>{"name": "f", "arguments": {"a": "cut of', [("f", '{"a": "cut of')]),
        ("hermes", '<tool_call>{"name": "unknown", "arguments": {}}</tool_call>', [("unknown", "{}")]),
        ("llama3_json", '{"type": "function", "name": "f", "parameters": {"a": 1}}', [("f", '{"a": 1}')]),
        ("pythonic", "[f(city='it\\'s', days=-1, on=True, deep={'a': None})]",
         [("f", '{"city": "it\'s", "days": -1, "on": true, "deep": {"a": null}}')]),
        ("pythonic", "[f(on=true, city=Paris,)]", [("f", '{"on": true, "city": "Paris"}')]),
        ("qwen3_coder", "<function=f><parameter=days>\n3\n</parameter>\n<parameter=city>\n3\n</parameter></function>",
         [("f", '{"days": 3, "city": "3"}')]),
        ("qwen3_coder", "<tool_call><function=f><parameter=x>\na\n\nb\n</parameter></function>",
         [("f", '{"x": "a\\n\\nb"}')]),
        ("mistral", '[TOOL_CALLS]f[CALL_ID]a1b2c3d4e[ARGS]{"a": 1}', [("f", '{"a": 1}')]),
        ("glm45", "<tool_call>f</tool_call>", [("f", "{}")]),
    ],
)  # fmt: skip
def test_what_models_write_besides(name: str, text: str, expected: list[tuple[str, str]]) -> None:
    assert read(WRITTEN[name].form, text, range(len(text))) == Read("", tuple(expected))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hermes", "<tool_call>no JSON</tool_call>"),
        ("hermes", '<tool_call>{"name": ""}'),
        ("hermes", '<tool_call>{"name": 5, "arguments": {}}</tool_call>\n'),
        ("hermes", '<tool_call>{"name": "f", "argum'),
        ("hermes", 'Use <tool_call> like so: `<tool_call>{"name": …}</tool_call>`.'),
        ("llama3_json", '{"name": "f", "age": 3}'),
        ("llama3_json", '{"name": "Marco", "parameters": {"a": 1}}'),
        ("llama3_json", 'The object {"name": "f", "parameters": {}} is JSON.'),
        ("llama3_json", '```json\n{"a": 1}\n```'),
        ("pythonic", "[1, 2, 3]"),
        ("pythonic", "[g(a=1)] is a list"),
        ("pythonic", "[f('x')]"),
        ("mistral", "[TOOL_CALLS] none"),
        ("json_list", '[{"name": "Ann", "age": 3}, {"name": "Bob"}]'),
        ("json_list", '[{"name": "f"}]'),
        ("qwen3_coder", "<function=f> is how a call begins"),
        ("glm4", "f\nis a letter"),
        ("deepseek_v3", "<｜tool▁calls▁begin｜><｜tool▁calls▁end｜>"),
    ],
)
def test_what_looks_like_a_call_and_is_none_is_said_in_full(name: str, text: str) -> None:
    assert read(WRITTEN[name].form, text, range(len(text))) == Read(text, ())


def test_a_broken_call_behind_a_whole_one_is_said() -> None:
    whole = '[{"name": "f", "arguments": {}}'
    told = read(WRITTEN["json_list"].form, whole + ', {"name": "Marco"}]')
    assert told == Read(', {"name": "Marco"}]', (("f", "{}"),))


def test_json_that_comes_from_a_model_stays_as_it_is_written() -> None:
    text = '<tool_call>{"name":"f","arguments":{ "a":1.0,  "b" : "\\u00e9" }}</tool_call>'
    assert read(WRITTEN["hermes"].form, text).calls == (("f", '{ "a":1.0,  "b" : "\\u00e9" }'),)


def test_thousands_of_beginnings_take_no_time_that_grows_with_their_square() -> None:
    text = '<tool_call>{"x": "' * 20_000
    assert read(WRITTEN["hermes"].form, text).said == text


@pytest.mark.parametrize("value", ["[" * 5000, "(" * 5000 + ")" * 5000, "{1, 2}", "b'x'", "NaN"])
def test_a_value_that_python_cannot_read_is_a_string(value: str) -> None:
    schema: dict[str, Any] = {"x": {"type": "array"}}
    text = f"<function=f><parameter=x>{value}</parameter></function>"
    told = read(WRITTEN["qwen3_coder"].form, text, toolbox=schemas(schema))
    assert json.loads(told.calls[0][1]) == {"x": value}


@pytest.mark.parametrize("value", ["1e999", "9" * 5000, '["</parameter>"]', '{ "a" :"\\/"}', '"\\ud83d\\ude00"'])
def test_a_value_in_json_stays_as_it_is_written(value: str) -> None:
    text = f"<function=f><parameter=x>\n{value}\n</parameter></function>"
    for cuts in ([], range(len(text))):
        told = read(WRITTEN["qwen3_coder"].form, text, cuts, toolbox=schemas({"x": {"type": "array"}}))
        assert told == Read("", (("f", f'{{"x": {value}}}'),))


@pytest.mark.parametrize("behind", [";", "; and more", "; {not a call}"])
def test_what_parts_llamas_calls_is_text_where_no_call_follows(behind: str) -> None:
    told = read(LLAMA3_JSON, '<|python_tag|>{"name": "f", "parameters": {}}' + behind)
    assert told.said == behind
    assert told.parsed == [("f", {})]
