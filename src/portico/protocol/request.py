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
class CallWish:
    """How the tools of a prompt may be called; the calls come as events of their own and not as text."""

    required: bool = False
    """Whether the answer must be calls and nothing else."""
    only: str | None = None
    """The one tool that may be called, where it is required."""
    parallel: bool = True
    """Whether an answer may have more than one call."""


@dataclass(frozen=True, slots=True)
class ThinkWish:
    """What becomes of a model's thinking; without it all that the model writes is text."""

    shown: bool = True
    """Whether it comes as events of its own; else it is left out."""
    budget: int | None = None
    """Tokens after which it is ended; None: when the model ends it."""
    budget_param: str = "thinking_token_budget"
    """The name under which the client gave the budget, for error messages."""
    effort: str | None = None
    """How much of it is wanted, as OpenAI names it: none, minimal, low, medium, high, xhigh."""
    wanted: bool | None = None
    """Whether there should be any, where the model can be told; None: its own way. With it `effort` is only a wish."""


@dataclass(frozen=True, slots=True)
class Known:
    """How the beginning of a conversation stands in tokens, from an earlier turn of it."""

    text: str
    """As the chat template lays it out, up to where the model's latest answer ends."""
    token_ids: Sequence[int]
    """What was read and drawn, which the tokenizer need not make of the text again."""


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """Messages to be laid out by the model's chat template; each message is a mapping as OpenAI defines it."""

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] | None = None
    layout: Layout = Layout()
    calls: CallWish | None = None
    """None: a call stays the text that the model writes."""
    thinking: ThinkWish | None = None
    """None: thinking stays the text that the model writes."""
    known: Known | None = None
    """Where the layout begins with this text, its tokens are taken as they are and only the rest is encoded."""


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
class Terms:
    """On whose account a request runs, how urgent it is, and how long it may take."""

    owner: int = 0
    """An opaque number for whoever asks; the engine is shared fairly between such."""
    priority: int = 0
    """Lower runs first, among the requests of one owner."""
    outranks: bool = False
    """Whether the priority counts against the requests of other owners too."""
    deadline: float | None = None
    """Reading of `time.monotonic()` at which it ends, finished or not."""
    seconds: float | None = None
    """The same counted from its arrival, for error messages."""


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
    cut_to_context: bool = False
    """Whether more max_tokens than the context has room for mean all that there is; else they are an error."""
    max_tokens_param: str = "max_tokens"
    """The name under which the client gave max_tokens, for error messages."""
    prompt_param: str = "prompt"
    """The name of the field that holds the prompt, for error messages."""
    terms: Terms = Terms()
