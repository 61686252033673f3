"""Messages between the front process and the engine process: msgpack of these structs over ZeroMQ, never pickle."""

from __future__ import annotations

from typing import Literal

import msgspec

from portico.protocol.sampling import TokenParams


class Add(msgspec.Struct, frozen=True, tag="add"):
    """Start a request of `n` choices over one prompt."""

    request_id: str
    prompt_ids: list[int]
    params: TokenParams
    n: int = 1
    said: list[list[int] | None] = []
    """Of a request that goes on from another engine: the tokens of each choice so far; None for one that has ended."""
    owner: int = 0
    """An opaque number for whoever asks; the engine is shared fairly between such."""
    priority: int = 0
    """Lower goes first, among the requests of one owner."""
    outranks: bool = False
    """Whether the priority counts against the requests of other owners too, each of which has 0 there."""


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop a request, or one choice of it; what it holds is free by the next step. Unknown ids are ignored."""

    request_id: str
    choice: int | None = None


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """End the engine process now."""


ToEngine = Add | Cancel | Stop


class TokenLogprobs(msgspec.Struct, frozen=True, array_like=True):
    """Natural logarithms of probabilities in the model's own distribution at one place."""

    logprob: float
    """Of the token that stands there."""
    rank: int
    """How many tokens are at least as likely as it."""
    top_ids: list[int]
    """The likeliest tokens, falling."""
    top: list[float]


class TokenEvent(msgspec.Struct, frozen=True, array_like=True):
    """What one step gave one choice of a request."""

    request_id: str
    choice: int
    token_ids: list[int]
    finish: Literal["stop", "length", "error"] | None = None
    cached_tokens: int = 0
    """Prompt tokens that were taken from the prefix cache."""
    error: str | None = None
    """With finish "error": one line that says what failed."""
    logprobs: list[TokenLogprobs] | None = None
    """Of each of the tokens, where the request asked for them."""
    prompt_logprobs: list[TokenLogprobs] | None = None
    """Of the prompt's tokens but its first, once for a request that asked for them."""
    embedding: list[float] | None = None
    """The vector that stands for the prompt, where the request asked for it."""
    scheduled: float | None = None
    """With a choice's first event: when the request was first given a place, by this machine's monotonic clock."""


class EngineStats(msgspec.Struct, frozen=True, array_like=True):
    """Counts after a step; totals grow from the engine's start."""

    steps: int
    running: int
    waiting: int
    blocks_used: int
    blocks_total: int
    preemptions: int
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    step_tokens: int = 0
    """Tokens of prompts and answers that the step computed; 0 where no step was run."""


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """The engine is ready: what it runs and the limits it ended up with."""

    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    max_prefill_beside_decodes: int
    block_size: int
    num_blocks: int
    vocab_size: int
    hidden_size: int
    device: str
    dtype: str
    threads: int
    kernels: str
    load_seconds: float
    kv_cache_dtype: str = ""
    """What keys and values are kept in."""
    weights: str = ""
    """How the weights are kept, and why, for people."""


class Loading(msgspec.Struct, frozen=True, tag="loading"):
    """How far an engine is that is not ready yet."""

    stage: str
    """What it is doing, for people."""
    progress: float = 0.0
    """How much of the checkpoint is in place, 0 to 1."""


class StepDone(msgspec.Struct, frozen=True, tag="step"):
    """What one step gave, for every sequence that it advanced or ended."""

    events: list[TokenEvent]
    stats: EngineStats


class Died(msgspec.Struct, frozen=True, tag="died"):
    """The engine cannot start or go on; the process ends after this."""

    message: str


FromEngine = Loading | Loaded | StepDone | Died

encode = msgspec.msgpack.Encoder().encode
decode_to_engine = msgspec.msgpack.Decoder(ToEngine).decode
decode_from_engine = msgspec.msgpack.Decoder(FromEngine).decode
