"""`python -m portico.server.doors.openai.reference`: the door's parameters as a Markdown page, from its schema."""

from __future__ import annotations

from collections.abc import Iterator

from portico.server.doors.openai.schema import (
    ChatCompletionRequest,
    CompletionRequest,
    DetokenizeRequest,
    EmbeddingRequest,
    TokenizeRequest,
)

HEAD = """# Parameters of the OpenAI API

Made from the schema by `make reference`. *chat* is `POST /v1/chat/completions`, *completions* `POST /v1/completions`,
*embeddings* `POST /v1/embeddings`, *tokenize* `POST /tokenize`, *detokenize* `POST /detokenize`.
A parameter that is left out or null has its default. The last column says whose clients know a parameter by this
name, and what others call it; OpenAI's own are known to every server of its API.

| parameter | in | meaning, range, default | known from |
|---|---|---|---|
"""
_OPENAI, _VLLM = "OpenAI", "vLLM"
_BOTH = "vLLM, LMDeploy"
_ALPACA = "Chinese-LLaMA-Alpaca-2"
KNOWN_FROM = {
    "model": _OPENAI,
    "messages": _OPENAI,
    "prompt": _OPENAI,
    "suffix": "OpenAI; in MLC LLM it is put behind the answer, not filled up to",
    "echo": "OpenAI for completions, vLLM for chat",
    "max_tokens": "OpenAI; MLC-Chat: `max_gen_len`",
    "max_completion_tokens": "OpenAI, LMDeploy",
    "temperature": _OPENAI,
    "top_p": _OPENAI,
    "top_k": f"{_BOTH}, {_ALPACA}",
    "min_p": _BOTH,
    "typical_p": "llama.cpp, transformers",
    "stop": _OPENAI,
    "seed": _OPENAI,
    "n": _OPENAI,
    "best_of": f"OpenAI, vLLM, {_ALPACA}",
    "use_beam_search": f"vLLM, {_ALPACA}",
    "num_beams": f"{_ALPACA}, transformers",
    "length_penalty": "vLLM, transformers",
    "early_stopping": "vLLM, transformers",
    "stream": _OPENAI,
    "stream_options": _OPENAI,
    "presence_penalty": _OPENAI,
    "frequency_penalty": _OPENAI,
    "repetition_penalty": f"{_BOTH}, MLC-Chat, {_ALPACA}; llama.cpp: `repeat_penalty`",
    "stop_token_ids": _BOTH,
    "include_stop_str_in_output": _BOTH,
    "min_tokens": "vLLM; LMDeploy: `min_new_tokens`",
    "min_new_tokens": "LMDeploy, transformers; vLLM: `min_tokens`",
    "ignore_eos": f"{_BOTH}, MLC LLM, {_ALPACA}",
    "debug_config": "MLC LLM",
    "logit_bias": _OPENAI,
    "allowed_token_ids": _VLLM,
    "bad_words": _VLLM,
    "tools": _OPENAI,
    "functions": _OPENAI,
    "function_call": _OPENAI,
    "tool_choice": _OPENAI,
    "parallel_tool_calls": _OPENAI,
    "enable_thinking": "LMDeploy",
    "include_reasoning": _VLLM,
    "reasoning_effort": _OPENAI,
    "thinking_token_budget": _VLLM,
    "logprobs": _OPENAI,
    "top_logprobs": _OPENAI,
    "prompt_logprobs": _VLLM,
    "return_token_ids": _BOTH,
    "return_tokens_as_token_ids": _VLLM,
    "input_ids": "LMDeploy",
    "do_preprocess": "LMDeploy",
    "skip_special_tokens": _BOTH,
    "spaces_between_special_tokens": _BOTH,
    "truncate_prompt_tokens": _VLLM,
    "add_special_tokens": _VLLM,
    "add_generation_prompt": _VLLM,
    "continue_final_message": _VLLM,
    "chat_template": _VLLM,
    "chat_template_kwargs": f"{_BOTH}; llama.cpp, SGLang",
    "documents": _VLLM,
    "return_token_strs": _VLLM,
    "tokens": _VLLM,
    "response_format": "OpenAI, MLC LLM, LMDeploy",
    "structured_outputs": "vLLM, in place of its `guided_…`",
    "guided_json": _VLLM,
    "guided_regex": _VLLM,
    "guided_choice": _VLLM,
    "guided_grammar": _VLLM,
    "guided_whitespace_pattern": _VLLM,
    "guided_decoding_backend": _VLLM,
    "input": _OPENAI,
    "dimensions": _OPENAI,
    "encoding_format": _OPENAI,
    "session_id": "LMDeploy",
    "cache_salt": _VLLM,
    "priority": _VLLM,
    "user": _OPENAI,
    "metadata": _OPENAI,
}
"""Of every field of the schema."""


def reference() -> str:
    """The page."""
    return HEAD + "".join(f"{row}\n" for row in _rows())


def _rows() -> Iterator[str]:
    endpoints = {
        "chat": ChatCompletionRequest.model_fields,
        "completions": CompletionRequest.model_fields,
        "embeddings": EmbeddingRequest.model_fields,
        "tokenize": TokenizeRequest.model_fields,
        "detokenize": DetokenizeRequest.model_fields,
    }
    names = dict.fromkeys(name for fields in endpoints.values() for name in fields)
    for name in sorted(names):
        texts = {where: fields[name].description for where, fields in endpoints.items() if name in fields}
        for text in dict.fromkeys(texts.values()):
            where = ", ".join(place for place, other in texts.items() if other == text)
            yield f"| `{name}` | {where} | {text} | {KNOWN_FROM[name]} |"


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201
