"""Every parameter that vLLM's document adds to OpenAI's: by the official client's extra_body and in the JSON itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from portico.protocol.messages import Add, TokenEvent, TokenLogprobs
from tests.server.fake_engine import say
from tests.server.harness import MODEL, LiveServer

Check = Callable[[Add, str], bool]
"""What must be true of the engine's order and the answer's text."""

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
BEAMS = {"use_beam_search": True, "best_of": 2}
DOCUMENTS = [{"title": "One", "text": "two"}]

SAMPLING: list[tuple[dict[str, Any], Check]] = [
    ({"use_beam_search": True, "n": 2}, lambda add, text: add.params.beams is not None and add.params.beams.width == 2),
    (BEAMS, lambda add, text: add.params.beams is not None and add.params.beams.width == 2),
    ({"top_k": -1}, lambda add, text: add.params.top_k == 0),
    ({"top_k": 5}, lambda add, text: add.params.top_k == 5),
    ({"min_p": 0.25}, lambda add, text: add.params.min_p == 0.25),
    ({"repetition_penalty": 1.5}, lambda add, text: add.params.repetition_penalty == 1.5),
    ({**BEAMS, "length_penalty": 0.5}, lambda add, text: add.params.beams.length_penalty == 0.5),  # type: ignore[union-attr]
    ({**BEAMS, "early_stopping": True}, lambda add, text: add.params.beams.early_stopping is True),  # type: ignore[union-attr]
    ({"stop_token_ids": [9]}, lambda add, text: 9 in add.params.stop_token_ids),
    ({"stop": "tw", "include_stop_str_in_output": True}, lambda add, text: text == "one tw"),
    ({"stop": "tw", "include_stop_str_in_output": False}, lambda add, text: text == "one "),
    ({"ignore_eos": True}, lambda add, text: add.params.stop_token_ids == ()),
    ({"min_tokens": 3}, lambda add, text: add.params.min_tokens == 3),
    ({"skip_special_tokens": True}, lambda add, text: text == "one two"),
    ({"skip_special_tokens": False}, lambda add, text: text == "one two<|endoftext|>"),
    ({"spaces_between_special_tokens": False}, lambda add, text: text == "one two"),
    ({"truncate_prompt_tokens": 2}, lambda add, text: len(add.prompt_ids) == 2),
    ({"prompt_logprobs": 1}, lambda add, text: add.params.prompt_logprobs == 1),
]
FORMS: list[tuple[dict[str, Any], Check]] = [
    (form, lambda add, text: add.params.grammar is not None)
    for form in (
        {"guided_json": SCHEMA},
        {"guided_json": '{"type": "object"}'},
        {"guided_json": SCHEMA, "guided_whitespace_pattern": "[ \n]*"},
        {"guided_json": SCHEMA, "guided_decoding_backend": "outlines"},
        {"guided_regex": "[a-z]+"},
        {"guided_regex": "[a-z]+", "guided_decoding_backend": "lm-format-enforcer"},
        {"guided_choice": ["positive", "negative"]},
        {"guided_grammar": 'start: "a" | "b"'},
    )
]
CHAT: list[tuple[dict[str, Any], Check]] = [
    *SAMPLING,
    *FORMS,
    ({"best_of": 2}, lambda add, text: add.n == 2),
    ({"echo": True, "add_generation_prompt": False}, lambda add, text: text == "hi thereone two"),
    ({"echo": False, "add_generation_prompt": False}, lambda add, text: text == "one two"),
    ({"add_generation_prompt": True}, lambda add, text: add.prompt_ids != [] and text == "one two"),
    ({"add_special_tokens": True}, lambda add, text: text == "one two"),
    ({"documents": DOCUMENTS}, lambda add, text: text == "one two"),
    ({"chat_template": "default"}, lambda add, text: text == "one two"),
    ({"chat_template_kwargs": {"some": "thing"}}, lambda add, text: text == "one two"),
]
COMPLETIONS: list[tuple[dict[str, Any], Check]] = [
    *SAMPLING,
    *FORMS,
    ({"allowed_token_ids": [5, 6]}, lambda add, text: add.params.allowed_token_ids == (5, 6)),
    ({"add_special_tokens": False}, lambda add, text: text == "one two"),
    ({"response_format": {"type": "json_object"}}, lambda add, text: add.params.grammar is not None),
    ({"response_format": {"type": "text"}}, lambda add, text: add.params.grammar is None),
]
NEUTRAL: dict[str, Any] = {
    "use_beam_search": False,
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "length_penalty": 1.0,
    "early_stopping": False,
    "stop_token_ids": [],
    "include_stop_str_in_output": False,
    "ignore_eos": False,
    "min_tokens": 0,
    "skip_special_tokens": True,
    "spaces_between_special_tokens": True,
    "truncate_prompt_tokens": None,
    "prompt_logprobs": None,
    "response_format": None,
    "guided_json": None,
    "guided_regex": None,
    "guided_choice": None,
    "guided_grammar": None,
    "guided_decoding_backend": None,
    "guided_whitespace_pattern": None,
}
"""vLLM's own defaults."""
NEUTRAL_CHAT = NEUTRAL | {
    "best_of": None,
    "echo": False,
    "add_generation_prompt": True,
    "add_special_tokens": False,
    "documents": None,
    "chat_template": None,
    "chat_template_kwargs": None,
}
NEUTRAL_COMPLETIONS = NEUTRAL | {"allowed_token_ids": None, "add_special_tokens": True}
MESSAGES: Any = [{"role": "user", "content": "hi there"}]


@pytest.fixture(autouse=True)
def one_two(server: LiveServer) -> None:
    """Every answer is "one two" and a special token, with whatever scores are asked for."""
    ids = [*server.text.tokenizer.encode("one two", add_special_tokens=False), 0]
    score = TokenLogprobs(-0.5, 1, [5], [-0.5])

    def script(add: Add) -> list[list[TokenEvent]]:
        prompt = None if add.params.prompt_logprobs is None else [score] * (len(add.prompt_ids) - 1)
        told = None if add.params.logprobs is None else [score] * len(ids)
        return [
            [TokenEvent(add.request_id, choice, ids, "length", logprobs=told, prompt_logprobs=prompt)]
            for choice in range(add.n)
        ]

    server.engine.script = script


@pytest.mark.parametrize(("fields", "check"), CHAT, ids=[", ".join(fields) for fields, _ in CHAT])
def test_chat(server: LiveServer, fields: dict[str, Any], check: Check) -> None:
    create = server.openai().chat.completions.create
    body = {"model": MODEL, "messages": MESSAGES, "max_tokens": 20}
    told = create(**body, extra_body=fields)
    with server.http() as http:
        raw = http.post("/v1/chat/completions", json=body | fields)
    assert "x-portico-ignored" not in raw.headers
    assert raw.json()["choices"][0]["message"]["content"] == told.choices[0].message.content
    assert len(server.engine.added) == 2
    for add in server.engine.added:
        assert check(add, told.choices[0].message.content or "")


@pytest.mark.parametrize(("fields", "check"), COMPLETIONS, ids=[", ".join(fields) for fields, _ in COMPLETIONS])
def test_completions(server: LiveServer, fields: dict[str, Any], check: Check) -> None:
    create = server.openai().completions.create
    body: dict[str, Any] = {"model": MODEL, "prompt": "hi there", "max_tokens": 20}
    told = create(**body, extra_body=fields)
    with server.http() as http:
        raw = http.post("/v1/completions", json=body | fields)
    assert "x-portico-ignored" not in raw.headers
    assert raw.json()["choices"][0]["text"] == told.choices[0].text
    assert len(server.engine.added) == 2
    for add in server.engine.added:
        assert check(add, told.choices[0].text)


@pytest.mark.parametrize(
    ("path", "fields"), [("/v1/chat/completions", NEUTRAL_CHAT), ("/v1/completions", NEUTRAL_COMPLETIONS)]
)
def test_its_defaults_may_be_written_out(server: LiveServer, path: str, fields: dict[str, Any]) -> None:
    server.engine.script = say([40, 41], "length")
    prompt = {"messages": MESSAGES} if "chat" in path else {"prompt": "hi there"}
    with server.http() as http:
        answer = http.post(path, json={"model": MODEL, "max_tokens": 20} | prompt | fields)
    assert answer.status_code == 200, answer.text
    assert "x-portico-ignored" not in answer.headers


def test_the_document_leaves_none_out() -> None:
    chat = {name for fields, _ in CHAT for name in fields}
    completions = {name for fields, _ in COMPLETIONS for name in fields}
    assert NEUTRAL_CHAT.keys() - {"response_format"} <= chat
    assert NEUTRAL_COMPLETIONS.keys() <= completions
