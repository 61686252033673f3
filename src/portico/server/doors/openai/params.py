"""Fields of a request that are known but not honoured: refused by name, unless their value asks for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portico.errors import RequestError
from portico.server.doors.openai.generation import GenerationBody
from portico.server.fields import check_extra, refuse_unless_neutral
from portico.server.service import Service

# Each field with the values that ask for what happens anyway; null is always one of them.
NOT_HONOURED: Mapping[str, tuple[Any, ...]] = {
    # OpenAI
    "audio": (),
    "modalities": (["text"],),
    "moderation": (),
    "prediction": (),
    "reasoning": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "verbosity": ("medium",),
    "web_search_options": (),
    # vLLM
    "kv_transfer_params": (),
    "logits_processors": ([],),
    "logprob_token_ids": (),
    "media_io_kwargs": ({},),
    "mm_processor_kwargs": ({},),
    "prompt_embeds": (),
    "repetition_detection": (),
    "request_id": (),
    "structural_tag": (),
    "vllm_xargs": ({},),
    # LMDeploy, MLC LLM, Chinese-LLaMA-Alpaca-2, SGLang, llama.cpp
    "adapter_name": (),
    "ebnf": (),
    "grammar": (),
    "interactive_mode": (False,),
    "json_schema": (),
    "lora_path": (),
    "regex": (),
    "repeat_penalty": (1,),
    "image_data": ([],),
    "migration_request": (),
    "preserve_cache": (False,),
    "repetition_ngram_size": (0,),
    "repetition_ngram_threshold": (0,),
    "return_logprob": (False,),
    "return_routed_experts": (False,),
    "with_cache": (False,),
}
EMBEDDINGS: Mapping[str, tuple[Any, ...]] = {
    "add_generation_prompt": (True,),
    "cache_salt": (),
    "embed_dtype": ("float32",),
    "endianness": ("native", "little"),
    "messages": (),
    "mm_processor_kwargs": ({},),
    "normalize": (True,),
    "pooling": (),
    "request_id": (),
    "use_activation": (True,),
}
"""What vLLM's embeddings know and these do not honour."""
CHAT_ONLY: Mapping[str, tuple[Any, ...]] = {"suffix": ("",)}
COMPLETION_ONLY: Mapping[str, tuple[Any, ...]] = {
    "add_generation_prompt": (True,),
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "continue_final_message": (False,),
    "do_preprocess": (False,),
    "documents": ([],),
    "enable_thinking": (),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "include_reasoning": (True,),
    "input_ids": ([],),
    "reasoning_effort": (),
    "parallel_tool_calls": (True, False),
    "thinking_token_budget": (),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
}
TOKENS: Mapping[str, tuple[Any, ...]] = {"media_io_kwargs": ({},), "mm_processor_kwargs": ({},)}
"""What vLLM's /tokenize knows and this does not honour."""
DEBUG_CONFIG: Mapping[str, tuple[Any, ...]] = {
    "disagg_config": (),
    "grammar_execution_mode": ("jump_forward", "constraint"),
    "pinned_system_prompt": (False,),
    "special_request": (),
}
"""What MLC LLM's debug_config has besides ignore_eos."""
STREAM_OPTIONS: Mapping[str, tuple[Any, ...]] = {"include_obfuscation": (False,)}


def check_fields(body: GenerationBody, only_here: Mapping[str, tuple[Any, ...]], service: Service) -> dict[str, str]:
    """Refuse what is known and not honoured; return the header that names what nobody knows and is ignored."""
    _check_stream_options(body)
    if body.debug_config is not None:
        for name, value in (body.debug_config.model_extra or {}).items():
            refuse_unless_neutral(f"debug_config.{name}", value, DEBUG_CONFIG.get(name, (value,)))
    return check_extra(body.model_extra or {}, {**NOT_HONOURED, **only_here}, service)


def _check_stream_options(body: GenerationBody) -> None:
    if body.stream_options is None:
        return
    if not body.stream:
        raise RequestError(
            "stream_options is only allowed when stream is true.", param="stream_options", code="invalid_value"
        )
    for name, value in (body.stream_options.model_extra or {}).items():
        refuse_unless_neutral(f"stream_options.{name}", value, STREAM_OPTIONS.get(name, (value,)))
