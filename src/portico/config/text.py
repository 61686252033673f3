"""What the person who starts a model decides about its text side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

TokenizerMode = Literal["auto", "slow"]
PoolingKind = Literal["last", "mean", "first"]


@dataclass(frozen=True, slots=True)
class TextOptions:
    """How a model's prompts are made and its answers read."""

    tokenizer: str | None = None
    """The folder of tokenizer and chat template, if it is not the model's."""
    tokenizer_mode: TokenizerMode = "auto"
    """auto: tokenizer.json, else what there is; slow: rather tokenizer.model or a tiktoken file."""
    chat_template: str | None = None
    """A text of Jinja in place of the folder's templates."""
    fallback_template: str | None = None
    """The name of the built-in template for models whose folder has none."""
    stop_words: tuple[str, ...] = ()
    """Tokens that end an answer besides the model's own, as they are written."""
    trust_request_templates: bool = False
    """Whether requests may bring templates of their own."""
    tool_call_parser: str = "auto"
    """A name of `text/tools/registry.py`, auto (what the chat template speaks of), none, or a plug-in."""
    reasoning_parser: str = "auto"
    """The same for what the model thinks before it answers: a name of `text/thinking.py`, auto or none."""
    generation_config: str | None = "auto"
    """Where defaults of sampling come from: the model's folder (auto), another folder, or nowhere (None)."""
    pooling: PoolingKind = "last"
    """How texts become vectors where the model's folder does not say."""
    generation_overrides: Mapping[str, float] = field(default_factory=dict)
    """Defaults of sampling that come before those."""
    seed: int | None = None
    """From which requests without a seed get theirs, in turn; None: from the system's entropy."""
