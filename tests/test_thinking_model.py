"""The bundled model under a template that makes it think first: budgets, and answers of a form behind the thinking."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from portico import LLM, SamplingParams
from portico.demo import demo_folder
from portico.errors import RequestError
from portico.protocol.sampling import Guided

TALK: Any = [{"role": "user", "content": "Tell me about the weather in Rome."}]
SCHEMA = {"type": "object", "properties": {"degrees": {"type": "integer", "minimum": 10, "maximum": 19}},
          "required": ["degrees"], "additionalProperties": False}  # fmt: skip
TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
JSON = Guided(kind="json", value=json.dumps(SCHEMA))


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> LLM:
    folder = tmp_path_factory.mktemp("thinks") / "model"
    shutil.copytree(demo_folder(), folder)
    template: Path = folder / "chat_template.jinja"
    opened = "{%- if thinks is not defined or thinks -%}<think>\n{%- else -%}<think>\n\n</think>\n\n{%- endif -%}"
    template.write_text(template.read_text() + opened)
    return LLM(str(folder), kv_cache_memory=64 * 2**20, threads=1)


def think(llm: LLM, budget: int | None = 6, temperature: float = 0, **more: Any) -> Any:
    params = SamplingParams(temperature=temperature, max_tokens=120, seed=1, guided=more.pop("guided", None))
    [answer] = llm.chat(TALK, params, separate_reasoning=True, thinking_token_budget=budget, progress=False, **more)
    return answer.choices[0]


@pytest.mark.parametrize("budget", [0, 3, 6])
def test_the_end_is_forced_when_the_budget_runs_out(llm: LLM, budget: int) -> None:
    choice = think(llm, budget)
    free = think(llm, None)
    assert free.text == ""  # this model knows no end
    assert free.token_ids[:budget] == choice.token_ids[:budget]
    assert bool(choice.reasoning) is (budget > 0)
    assert free.reasoning.startswith(choice.reasoning)
    assert "</think>" not in choice.text


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_an_answer_of_a_form_begins_behind_the_thinking(llm: LLM, temperature: float) -> None:
    choice = think(llm, temperature=temperature, guided=JSON)
    assert choice.reasoning
    assert 10 <= json.loads(choice.text)["degrees"] <= 19
    assert choice.finish_reason == "stop"


def test_a_call_that_must_be_made_comes_behind_the_thinking(llm: LLM) -> None:
    choice = think(llm, tools=[TOOL], tool_choice="required", parallel_tool_calls=False)
    assert choice.reasoning
    assert (choice.text, choice.finish_reason) == ("", "tool_calls")
    [call] = choice.tool_calls
    assert call.name == "get_weather"
    assert 10 <= json.loads(call.arguments)["degrees"] <= 19


def test_the_form_begins_at_once_where_the_template_ends_the_thinking(llm: LLM) -> None:
    choice = think(llm, guided=JSON, chat_template_kwargs={"thinks": False})
    assert choice.reasoning == ""
    assert 10 <= json.loads(choice.text)["degrees"] <= 19


def test_without_the_wish_all_is_text(llm: LLM) -> None:
    params = SamplingParams(temperature=0, max_tokens=120, guided=JSON)
    [answer] = llm.chat(TALK, params, progress=False)
    assert 10 <= json.loads(answer.text)["degrees"] <= 19
    with pytest.raises(RequestError, match="separate_reasoning"):
        llm.chat(TALK, thinking_token_budget=5)
