"""The bodies that clients send, one for each endpoint."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

from portico.errors import RequestError
from portico.protocol.request import ThinkWish
from portico.server.describe import example
from portico.server.doors.openai.generation import GenerationBody
from portico.server.doors.openai.layout import (
    AddGenerationPrompt,
    ContinueFinalMessage,
    Documents,
    EnableThinking,
    OwnTemplate,
    ReasoningEffort,
    TemplateVariables,
)

Prompt = str | list[str] | list[int] | list[list[int]]


class ChatMessage(BaseModel):
    """One message; fields not named here reach the chat template too."""

    model_config = ConfigDict(strict=True, extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = Field(None, description="Text, or parts `{type: text, text: …}`.")
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = Field(None, description="Calls that the assistant made.")
    tool_call_id: str | None = Field(None, description="The call that a tool's message answers.")
    function_call: dict[str, Any] | None = Field(None, description="The same as one of tool_calls, in the old form.")


class ChatCompletionRequest(GenerationBody):
    """The body of POST /v1/chat/completions."""

    model_config = ConfigDict(
        strict=True,
        extra="allow",
        json_schema_extra=example(messages=[{"role": "user", "content": "What is the capital of France?"}]),
    )

    messages: list[ChatMessage] | str = Field(
        description="The conversation, laid out by the model's chat template: roles system, developer, user, "
        "assistant, tool, function; content as a string or as text parts. A string instead is continued as it is.",
        examples=[[{"role": "user", "content": "What is the capital of France?"}]],
    )
    input_ids: list[int] | None = Field(
        None, description="Token ids in place of messages, which are empty then; continued as they are."
    )
    do_preprocess: bool | None = Field(
        None, description="false: the texts of the messages are continued as they are, without the chat template."
    )
    tools: list[dict[str, Any]] | None = Field(
        None,
        description="Up to 128 functions that the model may call, `{type: function, function: {name, description, "
        "parameters, strict}}`; `parameters` is a JSON schema of an object. `strict` holds a call to it.",
    )
    tool_choice: str | dict[str, Any] | None = Field(
        None,
        description="`auto` (default): the model decides; `none`: it is not shown the tools; `required`: it must call; "
        "`{type: function, function: {name: …}}`: it must call this one, once; `{type: allowed_tools, "
        "allowed_tools: {mode, tools}}`. Arguments of calls that it must make match their schemas.",
    )
    parallel_tool_calls: bool | None = Field(
        None, description="false: an answer ends after its first call (default: true)."
    )
    functions: list[dict[str, Any]] | None = Field(
        None,
        description="The old form of tools, not with them: `{name, description, parameters}`. The answer has "
        "`function_call`, one call at most, and so have deltas and finish_reason.",
    )
    function_call: str | dict[str, Any] | None = Field(
        None, description="The old form of tool_choice, with functions: `none`, `auto` or `{name: …}`."
    )
    include_reasoning: bool | None = Field(
        None, description="false: leave what the model thinks out of the answer (default: true)."
    )
    thinking_token_budget: int | None = Field(
        None, description="At least 0: end the model's thinking after so many tokens; for models that think."
    )
    logprobs: bool | None = Field(
        None,
        description="Report the natural log-probability of each token in the model's own distribution: before "
        "penalties, biases and temperature.",
    )
    top_logprobs: int | None = Field(
        None, description="0 to 20, with logprobs: and of so many of the likeliest in its place."
    )
    max_completion_tokens: int | None = Field(None, ge=0, description="OpenAI's newer name for max_tokens.")
    add_generation_prompt: AddGenerationPrompt = None
    continue_final_message: ContinueFinalMessage = None
    chat_template: OwnTemplate = None
    chat_template_kwargs: TemplateVariables = None
    enable_thinking: EnableThinking = None
    reasoning_effort: ReasoningEffort = None
    documents: Documents = None
    echo: bool | None = Field(
        None,
        description="Begin each answer with the text of the last message, if that is of the answer's role: an "
        "assistant's, or any with add_generation_prompt false.",
    )

    def thinking(self) -> ThinkWish:
        """What becomes of what the model thinks; RequestError for a budget below 0."""
        budget = self.thinking_token_budget
        if budget is not None and budget < 0:
            raise RequestError(
                f"thinking_token_budget is {budget}; it must be at least 0.",
                param="thinking_token_budget",
                code="invalid_value",
            )
        return ThinkWish(self.include_reasoning is not False, budget, effort=self.reasoning_effort)


class CompletionRequest(GenerationBody):
    """The body of POST /v1/completions."""

    model_config = ConfigDict(
        strict=True, extra="allow", json_schema_extra=example(prompt="Once upon a time", max_tokens=16)
    )

    # Checked by the door: a union would be tried member by member over what may be a hundred thousand ids.
    prompt: Annotated[Prompt, SkipValidation] = Field(
        description="A text, token ids, or a list of either; each prompt gets its own answers.",
        examples=["Once upon a time"],
    )
    logprobs: int | None = Field(
        None,
        description="0 to 20 (--max-logprobs): log-probabilities of the tokens and of so many of the likeliest, in the "
        "model's own distribution; text_offset counts characters of the answer.",
    )
    max_completion_tokens: int | None = Field(
        None,
        ge=0,
        description="The same as max_tokens; LMDeploy's client sends both, and the larger counts.",
    )
    suffix: str | None = Field(
        None,
        description="What stands behind the gap that an answer fills; the prompt, which must be text, stands before "
        "it. For models with fill-in-the-middle tokens, in their own form; for others a 400. Not with "
        "truncate_prompt_tokens; with echo an answer is prompt and middle, without logprobs.",
        examples=["    return a + b"],
    )
    echo: bool | None = Field(
        None, description="Begin each answer with the prompt's text, its logprobs with its tokens."
    )


class TokenizeRequest(BaseModel):
    """The body of POST /tokenize: a text or a conversation."""

    model_config = ConfigDict(strict=True, extra="allow", json_schema_extra=example(prompt="Once upon a time"))

    model: str | None = Field(
        None,
        description="A name from GET /v1/models, another is a 404; default: the served model.",
        examples=["my-model"],
    )
    prompt: str | None = Field(None, description="A text.", examples=["Once upon a time"])
    messages: list[ChatMessage] | None = Field(
        None, min_length=1, description="A conversation, laid out by the model's chat template; not with prompt."
    )
    tools: list[dict[str, Any]] | None = Field(None, description="Tools for the chat template, as in chat.")
    add_special_tokens: bool | None = Field(
        None, description="Add the tokenizer's own (BOS) to the prompt; default: to plain text, not behind a template."
    )
    return_token_strs: bool | None = Field(None, description="Name the tokens too, as the vocabulary spells them.")
    add_generation_prompt: AddGenerationPrompt = None
    continue_final_message: ContinueFinalMessage = None
    chat_template: OwnTemplate = None
    chat_template_kwargs: TemplateVariables = None
    enable_thinking: EnableThinking = None
    reasoning_effort: ReasoningEffort = None
    documents: Documents = None


class DetokenizeRequest(BaseModel):
    """The body of POST /detokenize."""

    model_config = ConfigDict(strict=True, extra="allow", json_schema_extra=example(tokens=[1, 2, 3]))

    model: str | None = Field(
        None,
        description="A name from GET /v1/models, another is a 404; default: the served model.",
        examples=["my-model"],
    )
    tokens: list[int] = Field(description="Token ids.", examples=[[1, 2, 3]])


class EmbeddingRequest(BaseModel):
    """The body of POST /v1/embeddings."""

    model_config = ConfigDict(strict=True, extra="allow", json_schema_extra=example(input="The food was delicious."))

    model: str | None = Field(
        None,
        description="A name from GET /v1/models, another is a 404; default: the served model.",
        examples=["my-model"],
    )
    input: Annotated[Prompt, SkipValidation] = Field(
        description="A text, token ids, or a list of either; each gets its own vector.",
        examples=["The food was delicious."],
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="Numbers (default), or base64 of little-endian 32-bit floats."
    )
    dimensions: int | None = Field(
        None, description="1 to the model's hidden size: keep so many leading components, and make the length 1 again."
    )
    truncate_prompt_tokens: int | None = Field(
        None, description="Keep this many tokens from the input's end; -1: what fits. Default: too long is a 400."
    )
    add_special_tokens: bool | None = Field(
        None, description="Add the tokenizer's own special tokens to a text (default: true)."
    )
    priority: int | None = Field(
        None, description="Lower comes first among the waiting requests of the same API key; default: 0."
    )
    user: str | None = Field(None, description="Accepted; has no effect.")
