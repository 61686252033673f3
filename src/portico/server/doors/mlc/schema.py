"""Bodies and answers of MLC-Chat, and of MLC LLM's debug routes; types are read leniently, as their clients expect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from portico.protocol.sampling import SamplingParams
from portico.server.describe import example

# Each field with the values that ask for what happens anyway; null is always one of them.
NOT_HONOURED: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "logprobs": (False,),
    "best_of": (1,),
}


class KeptMessage(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    name: str | None = None


class ConversationRequest(BaseModel):
    """The body of POST /v1/chat/completions as MLC-Chat has it."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra=example(messages=[{"role": "user", "content": "Write a haiku"}])
    )

    model: str | None = Field(None, description="Any name.", examples=["vicuna-v1-7b"])
    messages: list[KeptMessage] = Field(
        min_length=1,
        description="One message is the next turn of the conversation; several begin it anew.",
        examples=[[{"role": "user", "content": "Write a haiku"}]],
    )
    stream: bool = Field(False, description="Send the answer in pieces.")
    temperature: float | None = None
    top_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    max_gen_len: int | None = Field(None, description="Tokens that an answer may have; default: what is left.")
    max_tokens: int | None = Field(None, description="The same by OpenAI's name; the larger counts.")
    mean_gen_len: int | None = Field(None, description="Accepted; has no effect.")
    stop: str | list[str] | None = None
    seed: int | None = None
    user: str | None = Field(None, description="Accepted; has no effect.")

    @property
    def length(self) -> tuple[int | None, str]:
        """Tokens that an answer may have, and the name under which they were given."""
        names = {"max_gen_len": self.max_gen_len, "max_tokens": self.max_tokens}
        given = [(most, name) for name, most in names.items() if most is not None]
        return max(given) if given else (None, "max_gen_len")

    def sampling(self) -> SamplingParams:
        """The request's wishes, ranges not yet checked."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return SamplingParams(
            max_tokens=self.length[0],
            temperature=self.temperature,
            top_p=self.top_p,
            repetition_penalty=self.repetition_penalty,
            presence_penalty=self.presence_penalty or 0.0,
            frequency_penalty=self.frequency_penalty or 0.0,
            stop=tuple(stop),
            seed=self.seed,
        )


class ConversationMessage(BaseModel):
    """What the model said."""

    role: Literal["assistant"] = "assistant"
    content: str
    name: None = None


class ConversationChoice(BaseModel):
    """The one answer."""

    index: int = 0
    message: ConversationMessage
    finish_reason: Literal["stop", "length"]


class ConversationUsage(BaseModel):
    """What the turn cost; the tokens of the whole conversation are those of the prompt."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ConversationAnswer(BaseModel):
    """The answer of POST /v1/chat/completions as MLC-Chat has it."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    choices: list[ConversationChoice]
    usage: ConversationUsage


class DebugRequest(BaseModel):
    """The body of the debug routes."""

    model_config = ConfigDict(extra="allow", json_schema_extra=example(model="my-model"))

    model: str | None = Field(None, description="A name from GET /v1/models.")


class EngineMetrics(BaseModel):
    """The answer of POST /debug/dump_engine_metrics."""

    metrics: dict[str, Any]


class Events(RootModel[list[dict[str, Any]]]):
    """The answer of POST /debug/dump_event_trace, in Chrome's Trace Event Format."""


class FieldDetail(BaseModel):
    """What is wrong with a field."""

    type: str
    loc: list[str | int]
    msg: str


class DetailAnswer(BaseModel):
    """The answer of a request that failed, in FastAPI's own shape."""

    detail: str | list[FieldDetail]


class TwiceEncoded(RootModel[str | DetailAnswer]):
    """The answer of a request that failed: JSON with object, message and code, encoded once more as a string."""
