"""`from portico import LLM`: the engine in process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from msgspec.structs import replace

from portico import LLM, SamplingParams
from portico.demo import demo_folder
from portico.errors import CheckpointError, ConfigError, RequestError
from portico.protocol.sampling import Guided
from portico.text.tokenizer import Tokenizer

GREEDY = SamplingParams(temperature=0, max_tokens=40)


@pytest.fixture(scope="module")
def llm() -> LLM:
    return LLM(kv_cache_memory=64 * 2**20, threads=1)


def test_chat_answers(llm: LLM) -> None:
    answer = llm.chat([{"role": "user", "content": "What is the capital of Japan?"}], GREEDY)[0]
    assert "Tokyo" in answer.text
    assert answer.choices[0].finish_reason == "stop"


def test_many_conversations_keep_their_order(llm: LLM) -> None:
    talks = [[{"role": "user", "content": f"What is {n} + 10?"}] for n in range(20, 60)]
    answers = llm.chat(talks, GREEDY)
    right = [str(n + 10) in answer.text for n, answer in zip(range(20, 60), answers, strict=True)]
    assert sum(right) > 30
    assert [llm.chat(talk, GREEDY)[0].text for talk in talks[:3]] == [answer.text for answer in answers[:3]]


def test_generate_takes_text_and_tokens_and_params_for_each(llm: LLM) -> None:
    answers = llm.generate(["hi", "hi"], [SamplingParams(max_tokens=1), SamplingParams(max_tokens=3, ignore_eos=True)])
    assert [len(answer.choices[0].token_ids) for answer in answers] == [1, 3]
    by_tokens = llm.generate([answers[0].prompt_ids], GREEDY)[0]
    assert by_tokens.text == llm.generate("hi", GREEDY)[0].text


def test_stop_strings_and_choices(llm: LLM) -> None:
    params = SamplingParams(temperature=0, n=2, stop=("is",))
    answer = llm.chat([{"role": "user", "content": "What is the capital of Japan?"}], params)[0]
    assert [choice.text for choice in answer.choices] == ["The capital of Japan "] * 2


def test_template_and_tokenizer_of_ones_own(tmp_path: Path) -> None:
    model, tokenizer = tmp_path / "model", tmp_path / "tokenizer"
    for folder in (model, tokenizer):
        folder.mkdir()
    for path in demo_folder().iterdir():
        beside = path.name.startswith("tokenizer") or path.suffix == ".jinja"
        shutil.copy(path, (tokenizer if beside else model) / path.name)
    own = LLM(str(model), tokenizer=str(tokenizer), chat_template="alpaca", kv_cache_memory=64 * 2**20, threads=1)
    asked = [{"role": "user", "content": "Which is a capital?"}]
    answer = own.chat(asked, replace(GREEDY, guided=Guided(kind="choice", value='["Paris", "pear"]')))[0]
    assert answer.text in ("Paris", "pear")
    said = Tokenizer.load(tokenizer).decode(answer.prompt_ids)
    assert said.endswith("### Instruction:\nWhich is a capital?\n\n### Response:\n")
    with pytest.raises(ConfigError, match="chatml"):
        LLM(chat_template="no-such-name")


def test_tools_reach_the_template(llm: LLM) -> None:
    tool = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}
    message = [{"role": "user", "content": "Hello!"}]
    with_tools, without = (llm.chat(message, GREEDY, tools=tools)[0] for tools in ([tool], None))
    assert len(with_tools.prompt_ids) > len(without.prompt_ids)


def test_calls_come_apart_from_text_where_a_choice_is_given(llm: LLM) -> None:
    parameters = {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]}
    tool = {"type": "function", "function": {"name": "get_current_weather", "parameters": parameters}}
    weather = [{"role": "user", "content": "What is the current weather in Boston?"}]
    capital = [{"role": "user", "content": "What is the capital of Japan?"}]
    called, told = llm.chat([weather, capital], GREEDY, tools=[tool], tool_choice="auto")
    [call] = called.choices[0].tool_calls
    assert (call.name, json.loads(call.arguments)) == ("get_current_weather", {"location": "Boston"})
    assert (called.text, called.choices[0].finish_reason) == ("", "tool_calls")
    assert (told.choices[0].tool_calls, told.choices[0].finish_reason) == ((), "stop")
    assert "Tokyo" in told.text
    assert "<tool_call>" in llm.chat(weather, GREEDY, tools=[tool])[0].text
    with pytest.raises(RequestError, match="tool_choice"):
        llm.chat(capital, GREEDY, tool_choice="required")


def test_nothing_runs_when_one_request_is_wrong(llm: LLM) -> None:
    with pytest.raises(RequestError, match="top_p"):
        llm.generate(["a", "b"], [GREEDY, SamplingParams(top_p=0)])
    with pytest.raises(RequestError, match="sampling_params"):
        llm.generate(["a", "b"], [GREEDY])
    assert llm.generate([], GREEDY) == []


def test_a_missing_model_is_a_clear_error() -> None:
    with pytest.raises(CheckpointError, match="nowhere"):
        LLM("/nowhere")


def test_log_probabilities_of_answer_and_prompt(llm: LLM) -> None:
    params = SamplingParams(temperature=0, max_tokens=6, logprobs=2, prompt_logprobs=1)
    (answer,) = llm.generate(["The capital of France is"], params, progress=False)
    (choice,) = answer.choices
    assert [info.token.id for info in choice.logprobs] == list(choice.token_ids)
    assert all(info.top[0].id == info.token.id and len(info.top) == 2 for info in choice.logprobs)
    assert [info.token.id for info in answer.prompt_logprobs] == list(answer.prompt_ids)
    assert answer.prompt_logprobs[0].token.logprob is None
    assert all(info.token.logprob is not None for info in answer.prompt_logprobs[1:])


def test_the_mode_of_log_probabilities() -> None:
    params = SamplingParams(temperature=0.5, seed=1, top_k=1, max_tokens=4, logprobs=3)
    (answer,) = LLM(kv_cache_memory=1 << 26, threads=1, logprobs_mode="processed_logprobs").generate("Hi", params)
    assert [(info.token.logprob, len(info.top)) for info in answer.choices[0].logprobs] == [(0.0, 1)] * 4


def test_the_best_of_several(llm: LLM) -> None:
    wishes = SamplingParams(temperature=1.5, seed=4, n=2, best_of=6, max_tokens=8)
    (best,) = llm.generate(["Write a haiku"], wishes, progress=False)
    (drawn,) = llm.generate(["Write a haiku"], replace(wishes, n=6, best_of=None, logprobs=0), progress=False)
    means = [sum(info.token.logprob or 0 for info in c.logprobs) / len(c.logprobs) for c in drawn.choices]
    likeliest = sorted(range(6), key=lambda number: -means[number])[:2]
    assert [choice.text for choice in best.choices] == [drawn.choices[number].text for number in likeliest]
    assert all(choice.logprobs == () for choice in best.choices)
    with pytest.raises(RequestError, match="best_of is 1"):
        llm.generate(["x"], SamplingParams(n=2, best_of=1))


def test_a_suffix_needs_a_model_that_fills_gaps(llm: LLM) -> None:
    with pytest.raises(RequestError, match="fill"):
        llm.generate(["def f():"], suffix="return 1")


@pytest.mark.parametrize("form", ["qwen3_coder", "pythonic", "llama3_json"])
def test_calls_match_their_schema_in_a_form_that_the_model_never_learnt(form: str) -> None:
    kinds = {
        "city": {"type": "string", "maxLength": 12},
        "unit": {"enum": ["C", "F"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 4}, "maxItems": 2},
    }
    schema = {"type": "object", "properties": kinds, "required": ["city", "days"], "additionalProperties": False}
    tools = [{"type": "function", "function": {"name": name, "parameters": schema}} for name in ("f", "g")]
    llm = LLM(tool_call_parser=form, kv_cache_memory=2**24)
    hot = SamplingParams(temperature=2.0, seed=1, max_tokens=300)
    question = [{"role": "user", "content": "Hello!"}]
    for answer in llm.chat([question] * 4, hot, tools=tools, tool_choice="required", parallel_tool_calls=False):
        [call] = answer.choices[0].tool_calls
        assert (answer.text, answer.choices[0].finish_reason) == ("", "tool_calls")
        jsonschema.validate(json.loads(call.arguments), schema)
