"""Every field of every endpoint refuses every kind of value that it cannot have, and every value out of its range."""

from __future__ import annotations

from typing import Any

import pytest

from portico.server.doors.openai.schema import ChatCompletionRequest, CompletionRequest, EmbeddingRequest
from tests.server.harness import MODEL, LiveServer

ENDPOINTS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "/v1/completions": (CompletionRequest, {"prompt": "Hello"}),
    "/v1/chat/completions": (ChatCompletionRequest, {"messages": [{"role": "user", "content": "hi"}]}),
    "/v1/embeddings": (EmbeddingRequest, {"input": "Hello"}),
}
SAMPLES: dict[str, Any] = {
    "bool": True,
    "int": 1,
    "float": 1.5,
    "str": "x",
    "list[int]": [1],
    "list[str]": ["x"],
    "list[float]": [1.5],
    "object": {"x": 1},
}
NUMBER, WHOLE, FLAG, TEXT = {"int", "float"}, {"int"}, {"bool"}, {"str"}
KINDS: dict[str, set[str]] = {
    "model": TEXT,
    "prompt": {"str", "list[int]", "list[str]"},
    "input": {"str", "list[int]", "list[str]"},
    "messages": TEXT,
    "input_ids": {"list[int]"},
    "do_preprocess": FLAG,
    "encoding_format": TEXT,
    "dimensions": WHOLE,
    "max_tokens": WHOLE,
    "max_completion_tokens": WHOLE,
    "temperature": NUMBER,
    "top_p": NUMBER,
    "top_k": WHOLE,
    "min_p": NUMBER,
    "typical_p": NUMBER,
    "stop": {"str", "list[str]"},
    "seed": WHOLE,
    "priority": WHOLE,
    "n": WHOLE,
    "best_of": WHOLE,
    "use_beam_search": FLAG,
    "num_beams": WHOLE,
    "length_penalty": NUMBER,
    "early_stopping": FLAG | TEXT,
    "stream": FLAG,
    "stream_options": {"object"},
    "debug_config": {"object"},
    "presence_penalty": NUMBER,
    "frequency_penalty": NUMBER,
    "repetition_penalty": NUMBER,
    "stop_token_ids": {"list[int]"},
    "include_stop_str_in_output": FLAG,
    "min_tokens": WHOLE,
    "min_new_tokens": WHOLE,
    "ignore_eos": FLAG,
    "logit_bias": {"object"},
    "allowed_token_ids": {"list[int]"},
    "bad_words": {"list[str]"},
    "cache_salt": TEXT,
    "skip_special_tokens": FLAG,
    "spaces_between_special_tokens": FLAG,
    "truncate_prompt_tokens": WHOLE,
    "add_special_tokens": FLAG,
    "prompt_logprobs": WHOLE,
    "return_tokens_as_token_ids": FLAG,
    "return_token_ids": FLAG,
    "response_format": {"object"},
    "structured_outputs": {"object"},
    "guided_json": {"object", "str"},
    "guided_regex": TEXT,
    "guided_choice": {"list[str]"},
    "guided_grammar": TEXT,
    "guided_whitespace_pattern": TEXT,
    "guided_decoding_backend": TEXT,
    "suffix": TEXT,
    "echo": FLAG,
    "tools": set(),
    "tool_choice": set(),
    "functions": set(),
    "function_call": set(),
    "parallel_tool_calls": FLAG,
    "chat_template_kwargs": {"object"},
    "enable_thinking": FLAG,
    "include_reasoning": FLAG,
    "thinking_token_budget": WHOLE,
    "reasoning_effort": set(),
    "top_logprobs": WHOLE,
    "session_id": WHOLE,
    "user": TEXT,
    "metadata": {"object"},
    "add_generation_prompt": FLAG,
    "continue_final_message": FLAG,
    "chat_template": TEXT,
    "documents": set(),
    "tokens": {"list[int]"},
    "return_token_strs": FLAG,
}
"""The kinds of JSON values that a field can have; `logprobs` differs between the endpoints."""
LOGPROBS = {"/v1/completions": WHOLE, "/v1/chat/completions": FLAG}
OUT_OF_RANGE: dict[str, list[Any]] = {
    "cache_salt": ["x" * 257],
    "max_tokens": [0, -1, 10**6],
    "max_completion_tokens": [0, -1, 10**6],
    "temperature": [-0.1, 2.1],
    "top_p": [0, -0.1, 1.01],
    "top_k": [-2],
    "min_p": [-0.1, 1.1],
    "typical_p": [0, -0.1, 1.01],
    "stop": ["", [""], ["x"] * 17, "x" * 5000],
    "seed": [2**64, -(2**63) - 1],
    "priority": [2**31, -(2**31)],
    "n": [0, -1, 129],
    "best_of": [0, 129],
    "num_beams": [0, -1, 65],
    "length_penalty": [-10.1, 10.1, 2],
    "early_stopping": ["soon", True, "never"],
    "presence_penalty": [-2.1, 2.1],
    "frequency_penalty": [-2.1, 2.1],
    "repetition_penalty": [0, -1],
    "stop_token_ids": [[-1], [10**6]],
    "min_tokens": [-1],
    "min_new_tokens": [-1],
    "logit_bias": [{"x": 1}, {"-1": 1}, {"1": 101}, {"1": -101}, {str(10**6): 1}],
    "allowed_token_ids": [[], [-1], [10**6]],
    "bad_words": [[""], [" "]],
    "truncate_prompt_tokens": [0, -2],
    "prompt_logprobs": [-1, 21],
    "top_logprobs": [-1, 21],
    "response_format": [
        {},
        {"type": "xml"},
        {"type": "json_schema"},
        {"type": "json_schema", "json_schema": {"schema": 5}},
    ],
    "structured_outputs": [{}, {"json": 5}, {"regex": "[a"}, {"json": {}, "regex": "a"}],
    "guided_json": ["{", "5", {"if": {}}, {"type": "dog"}],
    "guided_regex": ["[a"],
    "guided_choice": [[], [""]],
    "guided_grammar": ["start: nothing"],
    "guided_whitespace_pattern": [" "],
    "tools": [
        [{}],
        [{"type": "custom", "custom": {"name": "f"}}],
        [{"type": "function"}],
        [{"type": "function", "function": {"name": "not a name"}}],
        [{"type": "function", "function": {"name": "x" * 65}}],
        [{"type": "function", "function": {"name": "f", "parameters": []}}],
        [{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}],
        [{"type": "function", "function": {"name": "f", "description": 1}}],
        [{"type": "function", "function": {"name": "f", "strict": "yes"}}],
        [{"type": "function", "function": {"name": "f"}}] * 2,
        [{"type": "function", "function": {"name": f"f{number}"}} for number in range(129)],
    ],
    "functions": [[{}], [{"name": "not a name"}], [{"name": "f"}] * 2, [{"name": "f", "parameters": []}]],
    "function_call": ["required", {"name": "g"}, {"type": "function"}],
    "tool_choice": [
        "required",
        "sometimes",
        {"type": "function"},
        {"type": "function", "function": {"name": "g"}},
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
    ],
    "reasoning_effort": ["high", "some"],  # of a model that does not think
    "thinking_token_budget": [-1, 5],  # of a model that does not think
    "suffix": ["x"],  # of a model without the tokens for it
    "messages": [[], [{"role": "nobody", "content": "x"}], [{"content": "x"}], [{"role": "user"}]],
    "input_ids": [[], [1]],  # beside messages
    "encoding_format": ["hex"],
    "debug_config": [{"special_request": "query_engine_metrics"}, {"pinned_system_prompt": True}, {"ignore_eos": 1}],
    "dimensions": [0, -1, 9],
    "input": ["", [], [[]], [10**6], ["x", 1], ["x", ""], list(range(2, 402)) * 2],
    "prompt": ["", [], [[]], [10**6], ["x", 1]],
    "chat_template": ["{{ 1 }}"],
    "chat_template_kwargs": [{"messages": []}],
    "tokens": [[10**6], [-1]],
}
NO_RANGE = {
    "model", "parallel_tool_calls", "chat_template_kwargs", "enable_thinking",
    "include_reasoning", "stream", "stream_options", "ignore_eos", "include_stop_str_in_output", "skip_special_tokens",
    "spaces_between_special_tokens",
    "add_special_tokens", "guided_decoding_backend", "return_tokens_as_token_ids", "echo", "user", "metadata",
    "logprobs", "use_beam_search", "add_generation_prompt", "continue_final_message", "documents", "tools",
    "return_token_strs", "session_id", "do_preprocess", "return_token_ids",
}  # fmt: skip
"""Fields of which every value of the right kind means something; completions' logprobs are checked below."""


NAMED_AS = {"min_new_tokens": "min_tokens"}
"""Other servers' names of a field, whose errors name ours."""


def refused(server: LiveServer, path: str, field: str, value: Any) -> str | None:
    """The param that a 400 names, or None if the request is answered."""
    body = {"model": MODEL, **ENDPOINTS[path][1], field: value}
    if field == "top_logprobs":
        body["logprobs"] = True
    answer = server.http().post(path, json=body)
    if answer.status_code == 200:
        return None
    error = answer.json()["error"]
    if field == "model":
        assert answer.status_code in (400, 404), answer.text
    else:
        assert answer.status_code == 400, answer.text
    assert error["message"]
    return str(error["param"])


@pytest.mark.parametrize("path", ENDPOINTS)
def test_the_tables_have_every_field(path: str) -> None:
    fields = set(ENDPOINTS[path][0].model_fields)
    assert fields <= set(KINDS) | {"logprobs"}
    assert fields <= set(OUT_OF_RANGE) | NO_RANGE


@pytest.mark.parametrize("path", ENDPOINTS)
def test_every_wrong_kind_is_refused_by_name(server: LiveServer, path: str) -> None:
    for field in ENDPOINTS[path][0].model_fields:
        kinds = LOGPROBS[path] if field == "logprobs" else KINDS[field]
        for kind, value in SAMPLES.items():
            if kind not in kinds:
                named = refused(server, path, field, value)
                assert named is not None, (field, value)
                assert named.split(".")[0] == field, (field, value, named)


@pytest.mark.parametrize("path", ENDPOINTS)
def test_every_value_out_of_range_is_refused_by_name(server: LiveServer, path: str) -> None:
    for field in ENDPOINTS[path][0].model_fields:
        for value in OUT_OF_RANGE.get(field, []):
            named = refused(server, path, field, value)
            assert named is not None, (field, value)
            assert named.split(".")[0] == NAMED_AS.get(field, field), (field, value, named)
    if path == "/v1/completions":
        assert refused(server, path, "logprobs", -1) == refused(server, path, "logprobs", 21) == "logprobs"
