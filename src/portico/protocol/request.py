"""The one request type: what every door turns its JSON into, and what the text layer takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portico.protocol.sampling import SamplingParams


@dataclass(frozen=True, slots=True)
class Layout:
    """How messages are to be laid out, where it is not left to the model's chat template alone."""

    add_generation_prompt: bool = True
    """Whether the prompt ends with the words that begin an assistant's turn."""
    continue_final_message: bool = False
    """Whether the prompt ends within the last message, so that the answer goes on with it; not with the former."""
    template: str | None = None
    """The name of one of the model's templates, or a template of one's own; None: the model's."""
    variables: Mapping[str, Any] = field(default_factory=dict)
    """What the template finds under further names, such as enable_thinking."""
    documents: Sequence[Mapping[str, Any]] | None = None
    """Texts for templates that know retrieval-augmented generation."""


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """Messages to be laid out by the model's chat template; each message is a mapping as OpenAI defines it."""

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] | None = None
    layout: Layout = Layout()


@dataclass(frozen=True, slots=True)
class TextPrompt:
    """Plain text to be continued; the tokenizer's own special tokens (BOS) are put in front."""

    text: str
    suffix: str = ""
    """What stands behind the wanted text, for models that can fill in the middle; empty: the text has no end yet."""


@dataclass(frozen=True, slots=True)
class TokenPrompt:
    """Token ids to be continued exactly as they are."""

    token_ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class Embed:
    """The wish for a vector that stands for the prompt, instead of a continuation."""

    dimensions: int | None = None
    """Leading components to keep; None: all."""


Prompt = ChatPrompt | TextPrompt | TokenPrompt


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One prompt and what is asked of its continuation; `sampling.n` choices come back."""

    request_id: str
    prompt: Prompt
    sampling: SamplingParams
    embed: Embed | None = None
    """With it nothing is generated, and of `sampling` only what is about the prompt counts."""
    echo: bool = False
    """Whether every choice begins with the prompt's own text."""
    max_tokens_param: str = "max_tokens"
    """The name under which the client gave max_tokens, for error messages."""
    prompt_param: str = "prompt"
    """The name of the field that holds the prompt, for error messages."""
