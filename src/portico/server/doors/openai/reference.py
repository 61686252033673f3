"""`python -m portico.server.doors.openai.reference`: the door's parameters as a Markdown page, from its schema."""

from __future__ import annotations

from collections.abc import Iterator

from portico.server.doors.openai.schema import ChatCompletionRequest, CompletionRequest, EmbeddingRequest

HEAD = """# Parameters of the OpenAI API

Made from the schema by `make reference`. *chat* is `POST /v1/chat/completions`, *completions* `POST /v1/completions`,
*embeddings* `POST /v1/embeddings`.
A parameter that is left out or null has its default.

| parameter | in | meaning, range, default | known from |
|---|---|---|---|
"""
OPENAI, VLLM, LMDEPLOY = "OpenAI", "vLLM", "LMDeploy"
KNOWN_FROM = {
    "top_k": "vLLM, LMDeploy, Chinese-LLaMA-Alpaca-2",
    "min_p": "vLLM, LMDeploy",
    "typical_p": "llama.cpp",
    "repetition_penalty": "vLLM, LMDeploy, MLC LLM",
    "ignore_eos": "vLLM, LMDeploy, MLC LLM",
    "use_beam_search": "vLLM, Chinese-LLaMA-Alpaca-2",
    "num_beams": "Chinese-LLaMA-Alpaca-2, transformers",
    "length_penalty": "vLLM, transformers",
    "early_stopping": "vLLM, transformers",
    "min_new_tokens": LMDEPLOY,
    "skip_special_tokens": "vLLM, LMDeploy",
    "spaces_between_special_tokens": "vLLM, LMDeploy",
    "truncate_prompt_tokens": VLLM,
    "stop_token_ids": VLLM,
    "include_stop_str_in_output": VLLM,
    "min_tokens": VLLM,
    "allowed_token_ids": VLLM,
    "bad_words": VLLM,
    "add_special_tokens": VLLM,
    "prompt_logprobs": VLLM,
    "response_format": "OpenAI, MLC LLM, LMDeploy",
    "structured_outputs": VLLM,
    "guided_json": VLLM,
    "guided_regex": VLLM,
    "guided_choice": VLLM,
    "guided_grammar": VLLM,
    "guided_whitespace_pattern": VLLM,
    "guided_decoding_backend": VLLM,
    "return_tokens_as_token_ids": VLLM,
}


def reference() -> str:
    """The page."""
    return HEAD + "".join(f"{row}\n" for row in _rows())


def _rows() -> Iterator[str]:
    endpoints = {
        "chat": ChatCompletionRequest.model_fields,
        "completions": CompletionRequest.model_fields,
        "embeddings": EmbeddingRequest.model_fields,
    }
    names = dict.fromkeys(name for fields in endpoints.values() for name in fields)
    for name in sorted(names):
        texts = {where: fields[name].description for where, fields in endpoints.items() if name in fields}
        for text in dict.fromkeys(texts.values()):
            where = ", ".join(place for place, other in texts.items() if other == text)
            yield f"| `{name}` | {where} | {text} | {KNOWN_FROM.get(name, OPENAI)} |"


if __name__ == "__main__":
    print(reference(), end="")  # noqa: T201
