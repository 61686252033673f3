"""The bundled checkpoint: its size, its template, its tokenizer, and `transformers` reading it as Portico does."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from portico import LLM, SamplingParams
from portico.demo import demo_folder
from portico.text.model import TextModel
from training.dialogue import Case, cases, pieces
from training.draw import Draw
from training.mix import KINDS, dialogue

TEXT = TextModel.load(demo_folder())


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in demo_folder().iterdir()) <= 20_000_000
    assert TEXT.tokenizer.vocab_size <= 8000


@given(st.text())
def test_the_tokenizer_gives_back_any_text(text: str) -> None:
    ids = TEXT.tokenizer.encode(text, add_special_tokens=False)
    assert TEXT.tokenizer.decode(ids, skip_special_tokens=False) == text


def test_each_digit_and_each_common_character_is_one_token() -> None:
    assert len(TEXT.tokenizer.encode("1234567890", add_special_tokens=False)) == 10
    assert len(TEXT.tokenizer.encode("中国的首都是北京", add_special_tokens=False)) == 8


@pytest.mark.parametrize("kind", KINDS)
def test_the_template_lays_out_what_was_trained(kind: str) -> None:
    oracle = AutoTokenizer.from_pretrained(demo_folder())
    for seed in range(8):
        made = dialogue(Draw(seed), kind)
        trained = "".join(piece.text for piece in pieces(made))
        for case in cases(made):
            rendered = TEXT.template.render(case.messages, case.tools or None)
            assert trained.startswith(rendered)
            assert rendered.endswith("<|im_start|>assistant\n")
            assert rendered == oracle.apply_chat_template(
                case.messages, tools=case.tools or None, tokenize=False, add_generation_prompt=True
            )


def test_calls_in_a_conversation_are_laid_out_as_the_model_writes_them() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "get", "arguments": '{"city": "Rome"}'}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {"role": "assistant", "content": None, "tool_calls": [call, call]},
        {"role": "tool", "tool_call_id": "1", "content": "20"},
        {"role": "tool", "tool_call_id": "1", "content": "21"},
    ]
    written = '<tool_call>\n{"name": "get", "arguments": {"city": "Rome"}}\n</tool_call>'
    rendered = TEXT.template.render(messages, None)
    assert f"<|im_start|>assistant\n{written}\n{written}<|im_end|>\n" in rendered
    assert rendered.count("<|im_start|>user") == 2
    as_dict = json.loads(json.dumps(messages))
    for made in as_dict[1]["tool_calls"]:
        made["function"]["arguments"] = {"city": "Rome"}
    assert TEXT.template.render(as_dict, None) == rendered


def test_transformers_says_the_same() -> None:
    """Greedy tokens of both; where they part, the oracle's two best logits must be within rounding of each other."""
    asked: list[Case] = [case for kind in KINDS for case in cases(dialogue(Draw(3), kind))]
    llm = LLM(kv_cache_memory=64 * 2**20, threads=1)
    answers = llm.chat(
        [case.messages for case in asked],
        SamplingParams(temperature=0, max_tokens=48),
        tools=[case.tools or None for case in asked],
        progress=False,
    )
    oracle = AutoModelForCausalLM.from_pretrained(demo_folder(), dtype=torch.float32).eval()
    for answer in answers:
        tokens = answer.choices[0].token_ids
        ids = torch.tensor([[*answer.prompt_ids, *tokens]])
        with torch.inference_mode():
            logits = oracle(ids).logits[0, len(answer.prompt_ids) - 1 : -1]
        best = logits.max(dim=-1).values
        said = logits.gather(1, torch.tensor(tokens).unsqueeze(1)).squeeze(1)
        assert torch.all(best - said <= 1e-3)
