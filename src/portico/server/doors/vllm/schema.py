"""Bodies and answers as vLLM has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from portico.server.describe import example

ANSWERS = ["Paris is the capital of France.", "Cats sleep."]

# Each field with the values that ask for what happens anyway; null is always one of them.
NOT_HONOURED: Mapping[str, tuple[Any, ...]] = {
    "cache_salt": (),
    "max_chunks_per_doc": (),
    "max_tokens_per_doc": (),
    "mm_processor_kwargs": ({},),
    "padding": ("do_not_pad",),
    "request_id": (),
    "truncation_side": ("left",),
    "use_activation": (True,),
}


class Texts(BaseModel):
    """What both kinds of comparison share."""

    model_config = ConfigDict(strict=True, extra="allow")

    model: str | None = Field(
        None,
        description="A name from GET /v1/models, another is a 404; default: the served model.",
        examples=["my-model"],
    )
    truncate_prompt_tokens: int | None = Field(
        None, description="Keep this many tokens from each text's end; -1: what fits. Default: too long is a 400."
    )
    priority: int | None = Field(
        None, description="Lower comes first among the waiting requests of the same API key; default: 0."
    )
    user: str | None = Field(None, description="Accepted; has no effect.")


class ScoreRequest(Texts):
    """The body of POST /score: two texts, one and several, or as many on either side."""

    model_config = ConfigDict(
        strict=True, extra="allow", json_schema_extra=example(text_1="What is the capital of France?", text_2=ANSWERS)
    )

    text_1: str | list[str] | None = Field(None, examples=["What is the capital of France?"])
    text_2: str | list[str] | None = Field(None, examples=[["Paris is the capital of France.", "Cats sleep."]])
    queries: str | list[str] | None = Field(None, description="Another name for text_1.")
    documents: str | list[str] | None = Field(None, description="Another name for text_2, beside queries.")
    items: str | list[str] | None = Field(None, description="Another name for text_2, beside queries.")
    data_1: str | list[str] | None = Field(None, description="Another name for text_1.")
    data_2: str | list[str] | None = Field(None, description="Another name for text_2.")


PAIRS = (("text_1", "text_2"), ("queries", "documents"), ("queries", "items"), ("data_1", "data_2"))
"""The names under which both sides may come."""


class Score(BaseModel):
    """How alike one pair is."""

    index: int
    object: Literal["score"] = "score"
    score: float = Field(description="The cosine of the angle between the two vectors, -1 to 1.")


class Usage(BaseModel):
    """What a comparison cost."""

    prompt_tokens: int
    total_tokens: int


class ScoreAnswer(BaseModel):
    """The answer of POST /score."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Score]
    usage: Usage


class Document(BaseModel):
    """A text that may be found."""

    model_config = ConfigDict(strict=True, extra="allow")

    text: str


class RerankRequest(Texts):
    """The body of POST /rerank, as Jina AI and Cohere have it too."""

    model_config = ConfigDict(
        strict=True, extra="allow", json_schema_extra=example(query="What is the capital of France?", documents=ANSWERS)
    )

    query: str = Field(examples=["What is the capital of France?"])
    documents: list[str | Document] = Field(
        description="Up to 2048 texts, bare or as `{text: …}`.",
        examples=[["Cats sleep.", "Paris is the capital of France."]],
    )
    top_n: int | None = Field(None, description="Give the best so many; 0 (default): all.")
    return_documents: bool | None = Field(None, description="Whether results hold their texts (default: true).")


class RerankResult(BaseModel):
    """One document."""

    index: int = Field(description="Its place in the request.")
    document: Document | None = Field(None, description="Unless return_documents is false.")
    relevance_score: float = Field(description="The cosine of its vector's angle to the query's, -1 to 1.")


class RerankAnswer(BaseModel):
    """The answer of POST /rerank: the likest document first."""

    id: str
    model: str
    usage: Usage
    results: list[RerankResult]


class ServerInfo(BaseModel):
    """The answer of GET /server_info."""

    vllm_config: str | dict[str, dict[str, Any]]
    version: str


class VllmErrorFields(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: int = Field(description="The HTTP status.")


class VllmError(BaseModel):
    """The answer of a request that failed, in vLLM's shape; of one without a key the error is a text."""

    error: VllmErrorFields | str
