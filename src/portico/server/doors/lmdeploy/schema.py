"""Bodies and answers as LMDeploy has them; types are read leniently, as its clients expect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from portico.protocol.sampling import SamplingParams
from portico.server.describe import example

NEW_SESSION = -1
"""The session_id that stands for none."""

# Each field with the values that ask for what happens anyway; null is always one of them.
NOT_HONOURED: Mapping[str, tuple[Any, ...]] = {
    "adapter_name": (),
    "instance_id": (NEW_SESSION,),
    "renew_session": (False,),
    "sequence_end": (),
    "sequence_start": (),
    "step": (0,),
    # of /generate
    "image_data": ([],),
    "media_io_kwargs": ({},),
    "mm_processor_kwargs": ({},),
    "repetition_ngram_size": (0,),
    "repetition_ngram_threshold": (0,),
    "return_routed_experts": (False,),
}


class InteractiveMessage(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] = Field(description="Text, or parts `{type: text, text: …}`.")


class Sampled(BaseModel):
    """What both kinds of generation share; null is the default."""

    model_config = ConfigDict(extra="allow")

    session_id: int = Field(NEW_SESSION, description="Which conversation; -1: none.")
    stream: bool = Field(False, description="Send the answer in pieces.")
    stop: str | list[str] | None = Field(None, description="Up to 16 strings that end the answer; of any length.")
    ignore_eos: bool = Field(False, description="Go on after the model's end of text.")
    skip_special_tokens: bool = Field(True, description="Leave special tokens out of the text.")
    spaces_between_special_tokens: bool = Field(True, description="Spaces that the tokenizer's decoder writes there.")

    def sampling(self, **more: Any) -> SamplingParams:
        """The request's wishes, ranges not yet checked."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return SamplingParams(
            stop=tuple(stop),
            ignore_eos=self.ignore_eos,
            skip_special_tokens=self.skip_special_tokens,
            spaces_between_special_tokens=self.spaces_between_special_tokens,
            **more,
        )


class InteractiveRequest(Sampled):
    """The body of POST /v1/chat/interactive."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra=example(prompt="Hello!", session_id=1, interactive_mode=True)
    )

    prompt: str | list[InteractiveMessage] = Field(
        description="What the user says, or messages; with a session only what is new.",
        examples=["Hello! How are you?"],
    )
    image_url: str | list[str] | None = Field(None, description="Refused: the model reads text.")
    interactive_mode: bool = Field(
        False, description="Keep the conversation under session_id; false: it ends with this turn."
    )
    request_output_len: int | None = Field(
        None, description="Tokens that the answer may have; null: what is left of the context; 0: only remember."
    )
    top_p: float = 0.8
    top_k: int = 40
    temperature: float = 0.8
    repetition_penalty: float = 1.0
    min_p: float = 0.0
    min_new_tokens: int | None = Field(None, description="Before so many tokens the answer does not end.")
    seed: int | None = Field(None, description="0 is none.")
    step: int | None = Field(
        None,
        ge=0,
        description="Go on from here: so many tokens of the conversation, up to the end of a turn; what came later is "
        "forgotten. 0 or null: from its end.",
    )
    cancel: bool = Field(False, description="End what runs in the session; all else in the body is ignored.")


class InteractiveAnswer(BaseModel):
    """The answer of POST /v1/chat/interactive; in a stream, one line with the new text."""

    text: str
    tokens: int = Field(description="Generated so far.")
    input_tokens: int = Field(description="Of the new messages, as the chat template lays them out.")
    history_tokens: int = Field(description="Of the conversation before this turn.")
    finish_reason: Literal["stop", "length"] | None


class GenerateRequest(Sampled):
    """The body of POST /generate."""

    model_config = ConfigDict(extra="allow", json_schema_extra=example(prompt="two steps to build a house:"))

    prompt: str | None = Field(None, description="Text, continued as it is.", examples=["two steps to build a house:"])
    input_ids: list[int] | None = Field(None, description="Token ids in place of it.")
    return_logprob: bool | None = Field(None, description="Tell the log-probability of each token.")
    max_tokens: int = 128
    stop_token_ids: list[int] | None = None
    temperature: float | None = None
    repetition_penalty: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    include_stop_str_in_output: bool = False


class FinishReason(BaseModel):
    """Why it ended."""

    type: Literal["stop", "length"]


class MetaInfo(BaseModel):
    """What is told of an answer beside it."""

    prompt_tokens: int
    completion_tokens: int
    finish_reason: FinishReason | None
    output_token_logprobs: list[tuple[float, int]] | None


class GenerateAnswer(BaseModel):
    """The answer of POST /generate; in a stream, with the new text and token ids."""

    text: str
    output_ids: list[int]
    meta_info: MetaInfo


class EncodeRequest(BaseModel):
    """The body of POST /v1/encode."""

    model_config = ConfigDict(extra="allow", json_schema_extra=example(input="Hello! How are you?"))

    input: str | list[str] = Field(examples=["Hello! How are you?"])
    do_preprocess: bool = Field(False, description="Lay it out by the chat template, as a user's message.")
    add_bos: bool = Field(True, description="With the tokens that begin a text, if the model has such.")


class EncodeAnswer(BaseModel):
    """The answer of POST /v1/encode; lists of both for a list of texts."""

    input_ids: list[int] | list[list[int]]
    length: int | list[int]


class AbortRequest(BaseModel):
    """The body of POST /abort_request."""

    model_config = ConfigDict(extra="allow", json_schema_extra=example(session_id=1))

    session_id: int = Field(NEW_SESSION, description="What runs under it is ended where it is.")
    abort_all: bool = Field(False, description="End whatever runs, as failed; only with --enable-abort-handling.")


class FlatError(BaseModel):
    """The answer of a request that failed, in LMDeploy's shape."""

    object: Literal["error"]
    message: str
    type: str
    code: int = Field(description="The HTTP status.")
    param: str | None
