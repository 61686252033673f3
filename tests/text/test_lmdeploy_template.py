"""LMDeploy's JSON chat templates: laid out as it lays them out, and refused where they say what is not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.config.text import TextOptions
from portico.errors import ConfigError, RequestError
from portico.protocol.request import GenerationRequest, Layout, TextPrompt
from portico.protocol.sampling import SamplingParams
from portico.text.builtin import given_template, template_source
from portico.text.model import TextModel
from portico.text.template import ChatTemplate
from portico.text.tokenizer import SpecialTokens
from tests.server.fake_engine import LOADED
from tests.text.folders import write_folder

INTERN = {
    "model_name": "mine",
    "system": "<|im_start|>system\n",
    "meta_instruction": 'You are "a robot" {{ %} 书生.',
    "eosys": "<|im_end|>\n",
    "user": "<|im_start|>user\n",
    "eoh": "<|im_end|>\n",
    "assistant": "<|im_start|>assistant\n",
    "eoa": "<|im_end|>",
    "separator": "\n",
    "capability": "chat",
    "stop_words": ["<|im_end|>"],
}
TALK = [("user", "hi"), ("assistant", "hello"), ("user", "书?")]


def template(tmp_path: Path, content: dict[str, Any]) -> ChatTemplate:
    path = tmp_path / "chat.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return ChatTemplate({"default": given_template(str(path)).source}, SpecialTokens(bos_token="<s>"))


def messages(talk: list[tuple[str, str]]) -> list[dict[str, Any]]:
    return [{"role": role, "content": text} for role, text in talk]


def lmdeploys(config: dict[str, Any], talk: list[tuple[str, str]]) -> str:
    """What LMDeploy makes of a talk, after the beginning of the text."""
    before = {"system": config["system"], "user": config["user"], "assistant": config["assistant"]}
    behind = {"system": config["eosys"], "user": config["eoh"], "assistant": config["eoa"] + config["separator"]}
    text = ""
    if talk[0][0] != "system":
        text += config["system"] + config["meta_instruction"] + config["eosys"]
    for role, said in talk:
        text += before[role] + said + behind[role]
    if talk[-1][0] == "assistant" and behind["assistant"]:
        return text[: -len(behind["assistant"])]
    return text + before["assistant"]


@pytest.mark.parametrize("talk", [TALK, [("system", "be brief"), *TALK], TALK[:2]])
def test_a_talk(tmp_path: Path, talk: list[tuple[str, str]]) -> None:
    assert template(tmp_path, INTERN).render(messages(talk)) == "<s>" + lmdeploys(INTERN, talk)


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
KEYS = ("system", "eosys", "user", "eoh", "assistant", "eoa", "separator", "meta_instruction")


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(KEYS, words)))
def test_any_texts(tmp_path_factory: pytest.TempPathFactory, config: dict[str, str]) -> None:
    ours = template(tmp_path_factory.mktemp("t"), config).render(messages(TALK))
    assert ours.removeprefix("<s>") == lmdeploys(config, TALK).removeprefix("<s>")


def test_a_beginning_of_its_own_is_not_doubled(tmp_path: Path) -> None:
    config = INTERN | {"system": "<s>[system]"}
    assert template(tmp_path, config).render(messages(TALK)) == lmdeploys(config, TALK)


def test_without_a_prompt_for_the_answer_the_last_message_is_closed(tmp_path: Path) -> None:
    said = template(tmp_path, INTERN).render(messages(TALK[:2]), None, Layout(add_generation_prompt=False))
    assert said.endswith("hello<|im_end|>\n")


def test_a_role_that_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="this one is tool"):
        template(tmp_path, INTERN).render([*messages(TALK), {"role": "tool", "content": "x"}])
    known = INTERN | {"tool": "<|tool|>", "eotool": "<|end|>"}
    assert "<|tool|>x<|end|>" in template(tmp_path, known).render([*messages(TALK), {"role": "tool", "content": "x"}])


def test_a_name_alone_is_a_built_in_template(tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    path.write_text('{"model_name": "llama2"}')
    assert given_template(str(path)).source == template_source("llama-2")
    assert given_template("chatml").source == template_source("chatml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"users": "x"}, "there is no key users"),
        ({"user": 3}, "user is 3; a string"),
        ({"user": "a", "stop_words": "b"}, "stop_words is 'b'; a list"),
        ({"user": "a", "capability": "infilling"}, "only chat is there"),
        ({}, "none of meta_instruction"),
        ({"model_name": "nobody"}, "no built-in template of that name"),
    ],
)
def test_what_it_cannot_say(tmp_path: Path, content: dict[str, Any], words: str) -> None:
    path = tmp_path / "chat.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError) as caught:
        given_template(str(path))
    assert words in str(caught.value)


def test_stop_words_end_answers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_folder(tmp_path)
    plain = TextModel.load(folder)
    token = plain.tokenizer.names([300])[0]
    assert token is not None
    model = TextModel.load(folder, TextOptions(stop_words=(token, "no such token")))
    request = GenerationRequest("r", TextPrompt("hi"), SamplingParams())
    assert 300 not in plain.prepare(request, LOADED).params.stop_token_ids
    assert 300 in model.prepare(request, LOADED).params.stop_token_ids
    assert "no such token" in caplog.text
