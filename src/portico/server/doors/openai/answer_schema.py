"""The answers that clients get, as OpenAI defines them, with vLLM's additions."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class EmbeddingObject(BaseModel):
    """The vector of one input."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(BaseModel):
    """What a request for embeddings cost."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    """The answer of POST /v1/embeddings."""

    object: Literal["list"] = "list"
    data: list[EmbeddingObject]
    model: str
    usage: EmbeddingUsage


class PromptTokensDetails(BaseModel):
    """Where a prompt's tokens came from."""

    cached_tokens: int = Field(description="Tokens that were known from an earlier prompt with the same start.")


class CompletionTokensDetails(BaseModel):
    """What a completion's tokens were spent on."""

    reasoning_tokens: int = Field(description="Tokens of the thinking, the markers around it included.")


class UsageBody(BaseModel):
    """What a request cost."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class LogprobEntry(BaseModel):
    """One token and its natural log-probability."""

    token: str
    logprob: float
    bytes: list[int] = Field(description="The token's UTF-8 bytes, which may be a part of a character.")


class TokenLogprob(LogprobEntry):
    """One token of an answer."""

    top_logprobs: list[LogprobEntry]


class ChatChoiceLogprobs(BaseModel):
    """Log-probabilities of a chat answer."""

    content: list[TokenLogprob]
    refusal: None = None


class CompletionChoiceLogprobs(BaseModel):
    """Log-probabilities of a continuation."""

    text_offset: list[int] = Field(description="Where each token begins in the text, in characters.")
    token_logprobs: list[float | None] = Field(description="null for the first token of an echoed prompt.")
    tokens: list[str]
    top_logprobs: list[dict[str, float] | None]


class PromptLogprob(BaseModel):
    """One token that could stand at a place of the prompt."""

    logprob: float
    rank: int
    decoded_token: str


PromptLogprobs = dict[str, PromptLogprob] | None
"""By token id; null for the first token of a prompt."""


class FunctionCall(BaseModel):
    """What is called."""

    name: str
    arguments: str = Field(description="JSON as the model wrote it.")


class ToolCall(BaseModel):
    """A call that the model makes."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class AssistantMessage(BaseModel):
    """What the model said."""

    role: str = Field("assistant", description="With add_generation_prompt false that of the last message.")
    content: str | None = Field(description="null where there are only calls.")
    reasoning_content: str | None = Field(None, description="What the model thought first; only where it did.")
    reasoning: str | None = Field(None, description="The same by its other name.")
    tool_calls: list[ToolCall] | None = Field(None, description="Only where there are any.")
    function_call: FunctionCall | None = Field(None, description="In their place, where the request has `functions`.")
    refusal: None = None


class ChatChoice(BaseModel):
    """One answer."""

    index: int
    message: AssistantMessage
    logprobs: ChatChoiceLogprobs | None = None
    finish_reason: Literal["stop", "length", "tool_calls", "function_call"]
    token_ids: list[int] | None = Field(None, description="Only with return_token_ids.")
    output_ids: list[int] | None = Field(None, description="The same by LMDeploy's name.")


class ChatCompletion(BaseModel):
    """The answer of POST /v1/chat/completions."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: UsageBody
    prompt_logprobs: list[PromptLogprobs] | None = Field(None, description="Only where the request asks for them.")
    prompt_token_ids: list[int] | None = Field(None, description="Only with return_token_ids.")
    system_fingerprint: str


class ChunkFunctionCall(BaseModel):
    """A piece of what is called."""

    name: str | None = Field(None, description="Only in the first piece.")
    arguments: str


class ChunkToolCall(BaseModel):
    """The beginning of a call, or more of its arguments."""

    index: int = Field(description="Which of the calls.")
    id: str | None = Field(None, description="Only in the first piece.")
    type: Literal["function"] | None = Field(None, description="Only in the first piece.")
    function: ChunkFunctionCall


class ChunkDelta(BaseModel):
    """What a chunk adds to the message; mostly one of these."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = Field(None, description="What the model thinks.")
    reasoning: str | None = Field(None, description="The same by its other name.")
    tool_calls: list[ChunkToolCall] | None = None
    function_call: ChunkFunctionCall | None = None


class ChatChunkChoice(BaseModel):
    """What a chunk adds to one answer."""

    index: int
    delta: ChunkDelta
    logprobs: ChatChoiceLogprobs | None = None
    finish_reason: Literal["stop", "length", "tool_calls", "function_call"] | None = None
    token_ids: list[int] | None = Field(None, description="Only with return_token_ids.")
    output_ids: list[int] | None = Field(None, description="The same by LMDeploy's name.")


class ChatCompletionChunk(BaseModel):
    """An event of a stream of POST /v1/chat/completions."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChatChunkChoice] = Field(description="Empty in the chunk that has `usage`.")
    usage: UsageBody | None = None
    prompt_token_ids: list[int] | None = Field(None, description="Only with return_token_ids, in the first chunk.")
    system_fingerprint: str


class CompletionChoice(BaseModel):
    """One continuation."""

    index: int
    text: str
    logprobs: CompletionChoiceLogprobs | None = None
    prompt_logprobs: list[PromptLogprobs] | None = Field(None, description="Only where the request asks for them.")
    finish_reason: Literal["stop", "length"]
    prompt_token_ids: list[int] | None = Field(None, description="Only with return_token_ids.")
    token_ids: list[int] | None = Field(None, description="Only with return_token_ids.")
    output_ids: list[int] | None = Field(None, description="The same by LMDeploy's name.")


class Completion(BaseModel):
    """The answer of POST /v1/completions."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: UsageBody
    system_fingerprint: str


class CompletionChunkChoice(BaseModel):
    """What a chunk adds to one continuation."""

    index: int
    text: str
    logprobs: CompletionChoiceLogprobs | None = None
    finish_reason: Literal["stop", "length"] | None = None
    prompt_token_ids: list[int] | None = Field(None, description="Only with return_token_ids, in the first chunk.")
    token_ids: list[int] | None = Field(None, description="Only with return_token_ids.")
    output_ids: list[int] | None = Field(None, description="The same by LMDeploy's name.")


class CompletionChunk(BaseModel):
    """An event of a stream of POST /v1/completions."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChunkChoice] = Field(description="Empty in the chunk that has `usage`.")
    usage: UsageBody | None = None
    system_fingerprint: str


class ModelPermission(BaseModel):
    """What may be done with a model, in the form that OpenAI had once and LMDeploy and vLLM have still."""

    id: str
    object: Literal["model_permission"] = "model_permission"
    created: int
    allow_create_engine: bool = False
    allow_sampling: bool = True
    allow_logprobs: bool = True
    allow_search_indices: bool = True
    allow_view: bool = True
    allow_fine_tuning: bool = False
    organization: str = "*"
    group: str | None = None
    is_blocking: bool = False


class Model(BaseModel):
    """A model as GET /v1/models lists it, with `root`, `parent`, `permission` and vLLM's `max_model_len`."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "portico"
    root: str
    parent: None = None
    permission: list[ModelPermission]
    max_model_len: int | None = Field(description="Tokens of prompt and answer together; null while loading.")


class ModelList(BaseModel):
    """The answer of GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[Model]


class Tokenization(BaseModel):
    """The answer of POST /tokenize."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str | None] | None = Field(description="The vocabulary's own spelling, with return_token_strs.")


class Detokenization(BaseModel):
    """The answer of POST /detokenize."""

    prompt: str
