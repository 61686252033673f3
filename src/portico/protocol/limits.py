"""How much a request may be: every bound that is there whatever the model, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_ENTRIES: Mapping[str, int] = MappingProxyType(
    {
        "messages": 4096,
        "tools": 128,
        "functions": 128,
        "documents": 2048,
        "stop": 16,
        "stop_token_ids": 1024,
        "bad_words": 1024,
        "logit_bias": 1024,
        "guided_choice": 4096,
        "metadata": 1024,
        "chat_template_kwargs": 256,
        "texts": 2048,
    }
)


@dataclass(frozen=True, slots=True)
class InputLimits:
    """Bounds that hold for all doors; a request past one of them is refused with its name and the number."""

    header_bytes: int = 64 * 1024
    """Of the request line and all headers together."""
    body_bytes: int = 8 * 2**20
    """Of a body, unless `--max-body-bytes` says otherwise."""
    json_depth: int = 128
    """Lists and objects within each other."""
    json_containers: int = 100_000
    """Lists and objects of a body; each costs many times its two bytes once it is read."""
    json_keys: int = 100_000
    """Keys of all objects of a body together."""
    entries: Mapping[str, int] = field(default_factory=lambda: _ENTRIES)
    """Entries of the fields of these names; `texts` are those of prompts, inputs and documents that come as a list."""
    stop_characters: int = 4096
    """Of one stop string."""
    word_characters: int = 1024
    """Of one bad word."""
    salt_characters: int = 256
    """Of a cache_salt."""
    tools_bytes: int = 2**20
    """Of all tools as JSON."""
    choices: int = 128
    """Answers to draw for a prompt: n, best_of."""
    beams: int = 64
    answers: int = 4096
    """Of all prompts of a request."""
    answer_tokens: int = 2**22
    """max_tokens of all answers of a request together."""
    logprobs: int = 1024
    """Likeliest tokens to tell of, whatever `--max-logprobs` says."""
    grammar_characters: int = 256 * 1024
    """Of a schema, an expression or a grammar."""
    grammar_depth: int = 64
    """Levels of a schema."""
    template_characters: int = 256 * 1024
    """Of a template that comes with a request; the longest that models have are a tenth of that."""


LIMITS = InputLimits()
