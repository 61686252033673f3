"""Templates in the public formats, on conversations of every kind: byte-equal to transformers, or refused by both."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.exceptions import TemplateError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from portico.errors import RequestError
from portico.protocol.request import Layout
from portico.text.builtin import builtin_names, template_source
from portico.text.template import ChatTemplate
from portico.text.tokenizer import Tokenizer
from tests.text.folders import llama, write_folder

SHAPES = {path.stem: path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("chat_templates/*.jinja")}
TEXT_ARGUMENTS = {"deepseek_v3"}
"""Shapes that add a call's arguments to a string, so that transformers must be given them as one."""

READS_PARTS = {"gemma3", "mistral_v7"}
"""Shapes that walk through parts; others are given their text in one, though transformers gives them the parts."""

USER, ANSWER = {"role": "user", "content": "Who <b>& what</b>? 你好 👩‍👧"}, {"role": "assistant", "content": " Me. "}
MORE = {"role": "user", "content": "  Say so\n"}
SYSTEM = {"role": "system", "content": " Be brief. "}
CALL = {"id": "call00001", "type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich", "n": 1}}}
OTHER = {"id": "call00002", "type": "function", "function": {"name": "weather", "arguments": {"city": "<Bern>"}}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
SUNNY = {"role": "tool", "tool_call_id": "call00001", "name": "weather", "content": '{"sky": "<clear>"}'}
RAIN = {**SUNNY, "tool_call_id": "call00002", "content": "rain"}
PARTS = {"role": "user", "content": [{"type": "text", "text": " one "}, {"type": "text", "text": "two"}]}
THINKING = {"role": "assistant", "content": "<think>\nhm\n</think>\n\nYes.", "reasoning_content": "hm"}

TALKS: dict[str, list[dict[str, Any]]] = {
    "one": [USER],
    "turns": [USER, ANSWER, MORE],
    "system": [SYSTEM, USER, ANSWER, MORE],
    "system in the middle": [USER, ANSWER, SYSTEM, MORE],
    "two systems": [SYSTEM, SYSTEM, USER],
    "same role twice": [USER, MORE],
    "answer first": [ANSWER, USER],
    "name": [{**USER, "name": "Ann"}, {**ANSWER, "name": "Bot"}, MORE],
    "call": [USER, CALLING, SUNNY],
    "call told": [SYSTEM, USER, CALLING, SUNNY, ANSWER, MORE],
    "two calls": [USER, {**CALLING, "tool_calls": [CALL, OTHER]}, SUNNY, RAIN],
    "call with words": [USER, {**CALLING, "content": "Let me see."}, SUNNY, ANSWER],
    "parts": [PARTS],
    "thought": [USER, THINKING, MORE],
    "ends with an answer": [USER, ANSWER],
    "ends with thought": [USER, THINKING],
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Weather of a <city>",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "n": {"type": ["integer"]}}},
        },
    }
]
VARIABLES: list[dict[str, Any]] = [
    {},
    {"enable_thinking": False, "date_string": "1 May 2025", "builtin_tools": ["weather", "code_interpreter"]},
    {"tools_in_user_message": False, "bos_token": "<other>"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": None}
    return write_folder(tmp_path_factory.mktemp("model"), llama(), config=config, template=None)


@pytest.fixture(scope="module")
def oracle(folder: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def shapes(folder: Path) -> dict[str, ChatTemplate]:
    special = Tokenizer.load(folder).special
    return {name: ChatTemplate({"default": source}, special) for name, source in SHAPES.items()}


def as_client(talk: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As OpenAI's clients send it: the arguments of a call as JSON text."""
    talk = copy.deepcopy(talk)
    for message in talk:
        for call in message.get("tool_calls", []):
            call["function"]["arguments"] = json.dumps(call["function"]["arguments"], ensure_ascii=False)
    return talk


def expected(oracle: PreTrainedTokenizerBase, source: str, talk: list[dict[str, Any]], **how: Any) -> str | Exception:
    try:
        return str(oracle.apply_chat_template(talk, chat_template=source, tokenize=False, **how))
    except Exception as error:
        return error


def test_there_are_enough() -> None:
    assert len(SHAPES) >= 14


@pytest.mark.parametrize("talk", TALKS)
@pytest.mark.parametrize("name", SHAPES)
def test_byte_equal_to_transformers_or_refused_by_both(
    name: str, talk: str, shapes: dict[str, ChatTemplate], oracle: PreTrainedTokenizerBase
) -> None:
    theirs = as_client(TALKS[talk]) if name in TEXT_ARGUMENTS else TALKS[talk]
    if talk == "parts" and name not in READS_PARTS:
        theirs = [{"role": "user", "content": " one two"}]
    for prompt in (True, False):
        for tools in (None, TOOLS):
            for variables in VARIABLES:
                want = expected(
                    oracle, SHAPES[name], theirs, add_generation_prompt=prompt, tools=tools, documents=None, **variables
                )
                layout = Layout(add_generation_prompt=prompt, variables=variables)
                if isinstance(want, str):
                    assert shapes[name].render(as_client(TALKS[talk]), tools, layout) == want
                elif isinstance(want, TemplateError) and type(want) is TemplateError:
                    with pytest.raises(RequestError) as caught:
                        shapes[name].render(as_client(TALKS[talk]), tools, layout)
                    assert caught.value.message == want.message


@pytest.mark.parametrize("name", SHAPES)
def test_what_transformers_cannot_lay_out_either_works_or_is_a_400(name: str, shapes: dict[str, ChatTemplate]) -> None:
    for talk in TALKS.values():
        try:
            said, error = shapes[name].render(as_client(talk), TOOLS), None
        except RequestError as raised:
            said, error = "", raised
        assert said or error is not None
        assert error is None or (error.status, error.param) == (400, "messages")


@pytest.mark.parametrize("name", SHAPES)
def test_parts_of_text_work_everywhere(name: str, shapes: dict[str, ChatTemplate]) -> None:
    said = shapes[name].render([PARTS])
    assert "one" in said
    assert "two" in said


@pytest.mark.parametrize("name", ["qwen25", "qwen3", "hermes", "llama3_tools", "mistral_v3", "deepseek_v3"])
def test_calls_are_printed_as_json_whichever_form_the_template_wants(
    name: str, shapes: dict[str, ChatTemplate]
) -> None:
    said = shapes[name].render(as_client(TALKS["call"]))
    assert '{"city": "Zürich", "n": 1}' in said
    assert "None" not in said


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("final", ["Once upon", " Once \n", "<think>\na\n</think>\n\nOnce "])
def test_going_on_with_the_last_message(
    name: str, final: str, shapes: dict[str, ChatTemplate], oracle: PreTrainedTokenizerBase
) -> None:
    for last in ({"role": "assistant", "content": final}, {"role": "user", "content": final}):
        talk = [USER, last] if last["role"] == "assistant" else [USER, ANSWER, last]
        want = expected(oracle, SHAPES[name], talk, continue_final_message=True)
        layout = Layout(add_generation_prompt=False, continue_final_message=True)
        if isinstance(want, str):
            assert shapes[name].render(talk, None, layout) == want
        else:
            with pytest.raises(RequestError):
                shapes[name].render(talk, None, layout)


def test_documents(shapes: dict[str, ChatTemplate], oracle: PreTrainedTokenizerBase) -> None:
    documents = [{"title": "Zürich", "text": "a\ntown"}, {"title": "Bern", "text": "another"}]
    want = expected(oracle, SHAPES["command_rag"], [USER], documents=documents, add_generation_prompt=True)
    assert isinstance(want, str)
    assert shapes["command_rag"].render([USER], None, Layout(documents=documents)) == want
    assert "BERN" in want


talks = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": st.text(max_size=20)}),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(talk=talks, name=st.sampled_from(sorted(SHAPES)), prompt=st.booleans())
def test_any_text_is_laid_out_the_same(
    talk: list[dict[str, Any]],
    name: str,
    prompt: bool,
    shapes: dict[str, ChatTemplate],
    oracle: PreTrainedTokenizerBase,
) -> None:
    want = expected(oracle, SHAPES[name], talk, add_generation_prompt=prompt)
    if isinstance(want, str):
        assert shapes[name].render(talk, None, Layout(add_generation_prompt=prompt)) == want
    else:
        with pytest.raises(RequestError):
            shapes[name].render(talk, None, Layout(add_generation_prompt=prompt))


@pytest.mark.parametrize("name", builtin_names())
def test_built_in_templates_in_the_sandbox_and_outside(
    name: str, folder: Path, oracle: PreTrainedTokenizerBase
) -> None:
    source = template_source(name)
    ours = ChatTemplate({"default": source}, Tokenizer.load(folder).special)
    for talk in ("one", "turns", "system"):
        want = expected(oracle, source, TALKS[talk], add_generation_prompt=True)
        assert isinstance(want, str)
        assert ours.render(TALKS[talk]) == want
        assert want.strip() != want or not want.endswith(MORE["content"])
