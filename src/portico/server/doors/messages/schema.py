"""What clients send to the messages door."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from portico.server.describe import example

MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
_STRICT = ConfigDict(strict=True, extra="allow")


class ThinkingConfig(BaseModel):
    """Whether the model is to think, and what is told of it."""

    model_config = _STRICT

    type: Literal["enabled", "disabled", "adaptive"] = Field(
        description="`enabled` and `adaptive` switch thinking on, `disabled` off; of a model that cannot be switched, "
        "the thinking is ended at once."
    )
    budget_tokens: int | None = Field(
        None, description="With `enabled`, which needs it: thinking is ended after so many tokens, at least 1."
    )
    display: Literal["summarized", "omitted"] | None = Field(
        None,
        description="`summarized` (default): the thinking as it is; `omitted`: a block without text, whose signature "
        "carries what the model needs to go on.",
    )


class OutputConfig(BaseModel):
    """What the answer is to look like."""

    model_config = _STRICT

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = Field(
        None, description="Given to chat templates that know reasoning_effort (`max` as `xhigh`)."
    )
    format: dict[str, Any] | None = Field(None, description="`{type: json_schema, schema}`.")


class Conversation(BaseModel):
    """What makes the prompt."""

    model_config = _STRICT

    model: str | None = Field(
        None,
        description="A name from GET /v1/models, another is a 404; default: the served model.",
        examples=["my-model"],
    )
    messages: list[dict[str, Any]] = Field(
        min_length=1,
        description="Turns of roles user, assistant, system; content as a text or as blocks: `text`, `tool_use`, "
        "`tool_result`, `thinking`, `redacted_thinking` (not read). Turns of one role in a row are one. A last turn of "
        "the assistant's is continued.",
        examples=[[{"role": "user", "content": "What is the capital of France?"}]],
    )
    system: str | list[dict[str, Any]] | None = Field(None, description="A text, or text blocks.")
    tools: list[dict[str, Any]] | None = Field(
        None, description="`{name, description, input_schema, strict}`; there are no built-in tools."
    )
    tool_choice: dict[str, Any] | None = Field(
        None,
        description="`{type: auto}` (default), `{type: any}`, `{type: tool, name}`, `{type: none}`; with "
        "`disable_parallel_tool_use` an answer ends after its first call.",
    )
    thinking: ThinkingConfig | None = Field(
        None, description="Default: off for models whose chat template can switch it off; others think as they do."
    )
    output_config: OutputConfig | None = Field(None, description="Form and effort.")
    output_format: dict[str, Any] | None = Field(None, description="The older name of output_config.format.")
    chat_template_kwargs: dict[str, Any] | None = Field(
        None, description="Variables for the chat template; not Anthropic's."
    )
    cache_control: Any = Field(
        None, description="Accepted here and in every block: beginnings of prompts are always kept."
    )


class CountTokens(Conversation):
    """The body of POST /v1/messages/count_tokens."""

    model_config = ConfigDict(strict=True, extra="allow", json_schema_extra=example(messages=MESSAGES))


class CreateMessage(Conversation):
    """The body of POST /v1/messages; a field left out means the model's own default."""

    model_config = ConfigDict(strict=True, extra="allow", json_schema_extra=example(max_tokens=64, messages=MESSAGES))

    max_tokens: int = Field(
        description="Tokens that the answer may have, thinking included. More than the context has room for is what "
        "it has room for, and stop_reason then model_context_window_exceeded.",
        examples=[64],
    )
    stop_sequences: list[str] | None = Field(None, description="Up to 16 texts that end the answer.")
    temperature: float | None = Field(
        None, description="0 (always the likeliest token) to 2. Default: the model's generation_config.json, then 1."
    )
    top_p: float | None = Field(
        None,
        description="Keep the likeliest tokens that sum up to this, above 0 to 1. Default: the model's, then 1.",
    )
    top_k: int | None = Field(None, description="Keep this many of the likeliest tokens. Default: the model's.")
    min_p: float | None = Field(
        None, description="Drop tokens less likely than this share of the likeliest; not Anthropic's."
    )
    repetition_penalty: float | None = Field(None, description="Above 0; as in chat, not Anthropic's.")
    seed: int | None = Field(None, description="The same seed and request give the same answer; not Anthropic's.")
    priority: int | None = Field(
        None,
        description="Lower comes first among the waiting requests of the same API key; as in chat, not Anthropic's.",
    )
    stream: bool | None = Field(None, description="Send events while the answer is made.")
    metadata: dict[str, Any] | None = Field(None, description="Accepted; has no effect.")


class MessageObject(BaseModel):
    """A whole answer."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[dict[str, Any]] = Field(description="Blocks: `thinking`, `text`, `tool_use`.")
    stop_reason: Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded"]
    stop_sequence: str | None
    usage: dict[str, Any] = Field(
        description="`input_tokens` without those of the prefix cache, which are `cache_read_input_tokens`; "
        "`output_tokens`."
    )


class TokenCount(BaseModel):
    """What a prompt would cost."""

    input_tokens: int


class ModelPage(BaseModel):
    """Models, as Anthropic lists them."""

    data: list[dict[str, Any]]
    has_more: bool
    first_id: str | None
    last_id: str | None


class MessageErrorFields(BaseModel):
    """What went wrong."""

    type: str
    message: str
    details: dict[str, Any] | None = None


class MessageError(BaseModel):
    """The answer of a request that failed, in Anthropic's shape."""

    type: Literal["error"]
    error: MessageErrorFields
    request_id: str | None
