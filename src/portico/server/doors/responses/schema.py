"""What clients send to the responses door."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from portico.server.describe import example

_STRICT = ConfigDict(strict=True, extra="allow")


class TextWish(BaseModel):
    """How the text of an answer is to look."""

    model_config = _STRICT

    format: dict[str, Any] | None = Field(
        None,
        description="`{type: text}`, `{type: json_object}` or `{type: json_schema, name, schema, strict}`.",
        examples=[{"type": "json_object"}],
    )
    verbosity: str | None = Field(None, description="`medium`, which is what happens anyway.")


class ReasoningWish(BaseModel):
    """What becomes of the model's thinking."""

    model_config = _STRICT

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = Field(
        None,
        description="Given to templates that know it; for others that can switch thinking, `none` is off and all else "
        "on. Where neither can be: a 400, but for `none` of a model that does not think.",
    )
    summary: Literal["auto", "concise", "detailed"] | None = Field(
        None,
        description="The thinking comes as the summary of a reasoning item, whole as it is, instead of as its content.",
    )


class StreamWish(BaseModel):
    """What a stream carries."""

    model_config = _STRICT

    include_obfuscation: bool | None = Field(None, description="false, which is what happens anyway.")


class CreateResponse(BaseModel):
    """The body of POST /v1/responses; a field left out means the model's own default."""

    model_config = ConfigDict(
        strict=True, extra="allow", json_schema_extra=example(input="What is the capital of France?")
    )

    model: str | None = Field(
        None,
        description="A name from GET /v1/models, another is a 404; default: the served model.",
        examples=["my-model"],
    )
    input: str | list[dict[str, Any]] | None = Field(
        None,
        description="What the user says, or items: messages (system, developer, user, assistant; text alone), "
        "`function_call`, `function_call_output`, `custom_tool_call`, `custom_tool_call_output`, `reasoning`, "
        "`item_reference` to an item of a kept response, `additional_tools`.",
        examples=["What is the capital of France?"],
    )
    instructions: str | None = Field(
        None, description="A system message before all others; not carried over by previous_response_id."
    )
    previous_response_id: str | None = Field(
        None, description="A kept response whose input and output come before this input."
    )
    store: bool | None = Field(None, description="Keep the response, as GET and previous_response_id need it; default.")
    tools: list[dict[str, Any]] | None = Field(
        None,
        description="Functions `{type: function, name, description, parameters, strict}`, free-form tools `{type: "
        "custom, name, description, format}` whose input is a text, and namespaces of them. `web_search`, "
        "`image_generation` and `tool_search` are left out and named in x-portico-ignored; others are a 400.",
    )
    tool_choice: str | dict[str, Any] | None = Field(
        None,
        description="`auto` (default), `none`, `required`, `{type: function, name}`, `{type: custom, name}`, or "
        "`{type: allowed_tools, mode, tools}`. Arguments of calls that must be made match their schemas.",
    )
    parallel_tool_calls: bool | None = Field(
        None, description="false: an answer ends after its first call (default: true)."
    )
    text: TextWish | None = Field(None, description="The form of the answer's text.")
    reasoning: ReasoningWish | None = Field(None, description="How to think, and how to tell of it.")
    include: list[str] | None = Field(
        None,
        description="`message.output_text.logprobs`; `reasoning.encrypted_content`: reasoning items carry what the "
        "model needs to go on. Those of tools that the server does not run have no effect.",
    )
    max_output_tokens: int | None = Field(
        None, description="Tokens that the answer may have, thinking included; default: what is left of the context."
    )
    temperature: float | None = Field(
        None, description="0 (always the likeliest token) to 2. Default: the model's generation_config.json, then 1."
    )
    top_p: float | None = Field(
        None,
        description="Keep the likeliest tokens that sum up to this, above 0 to 1. Default: the model's, then 1.",
    )
    top_logprobs: int | None = Field(
        None, description="0 to 20: log-probabilities of the text's tokens and of so many of the likeliest."
    )
    presence_penalty: float | None = Field(None, description="-2 to 2, default 0; as in chat.")
    frequency_penalty: float | None = Field(None, description="-2 to 2, default 0; as in chat.")
    top_k: int | None = Field(None, description="Keep this many of the likeliest tokens; not OpenAI's.")
    min_p: float | None = Field(
        None, description="Drop tokens less likely than this share of the likeliest; not OpenAI's."
    )
    repetition_penalty: float | None = Field(None, description="Above 0; as in chat, not OpenAI's.")
    seed: int | None = Field(None, description="The same seed and request give the same answer; not OpenAI's.")
    stop: str | list[str] | None = Field(None, description="Up to 16 strings that end the answer; not OpenAI's.")
    chat_template_kwargs: dict[str, Any] | None = Field(
        None, description="Variables for the chat template; not OpenAI's."
    )
    priority: int | None = Field(
        None, description="Lower comes first among the waiting requests of the same API key; as in chat, not OpenAI's."
    )
    truncation: Literal["auto", "disabled"] | None = Field(
        None,
        description="`auto`: where the context is too small the oldest turns are left out, never the system's and "
        "developer's messages before them; `disabled` (default): that is a 400.",
    )
    stream: bool | None = Field(None, description="Send events while the answer is made.")
    stream_options: StreamWish | None = Field(None, description="Only with `stream`.")
    metadata: dict[str, str] | None = Field(None, description="Up to 16 pairs, kept and told with the response.")
    service_tier: str | None = Field(None, description="`auto` or `default`; there is one.")
    user: str | None = Field(None, description="Told with the response; has no effect.")
    safety_identifier: str | None = Field(None, description="Told with the response; has no effect.")
    prompt_cache_key: str | None = Field(None, description="Told with the response; has no effect.")
    client_metadata: Any = Field(None, description="Accepted; has no effect.")


class ResponseObject(BaseModel):
    """A response: what was asked, and the items of the answer."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["in_progress", "completed", "incomplete", "failed", "cancelled"]
    model: str
    output: list[dict[str, Any]] = Field(description="Items: messages, reasoning, function_call, custom_tool_call.")
    error: dict[str, Any] | None
    incomplete_details: dict[str, Any] | None
    usage: dict[str, Any] | None


class ItemList(BaseModel):
    """A page of items."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedResponse(BaseModel):
    """The answer of DELETE /v1/responses/{response_id}."""

    id: str
    object: Literal["response.deleted"]
    deleted: Literal[True]
