"""How another server says what OpenAI's routes say: one `Dialect` for each server whose habits contradict them.

A dialect translates what the OpenAI door yields, whole answers, chunks and errors, so that the door itself knows
nothing of it. The door of that server declares it (`DIALECTS`), and `--compat` chooses it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from pydantic import BaseModel

from portico.errors import RequestError
from portico.protocol.sampling import SamplingParams
from portico.server.describe import ErrorAnswer
from portico.server.errors import ErrorShape, error_body, openai_error

DONE = b"data: [DONE]\n\n"
_DATA = b"data: "

Fields = dict[str, Any]
Translation = Callable[[Fields, bool], Fields]
"""From a body of OpenAI's, and whether the request has tools that may be called, to the server's own."""
ChunkTranslation = Callable[[Fields, bool], Fields | None]
"""The same for a chunk; None: there is none in its place."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server has otherwise than OpenAI; the defaults are OpenAI's ways."""

    answer: Translation | None = None
    """Of whole answers of both kinds of completion."""
    chunk: ChunkTranslation | None = None
    """Of the chunks of streams."""
    error: ErrorShape = openai_error
    """Status and body of an answer that is an error, on every route and for every caller without a shape of its own."""
    error_model: type[BaseModel] = ErrorAnswer
    """The same for the OpenAPI document."""
    failure: Callable[[RequestError], bytes] = error_body
    """JSON text of an error in mid-stream."""
    done: bytes = DONE
    """What ends a stream; may be empty."""
    any_model: bool = False
    """Whether a request may name any model and gets the one that is served."""
    completion_tokens: int | None = 16
    """`max_tokens` of completions that leave it out; None: what is left of the context."""
    chat_tokens: int | None = None
    """The same of chat."""
    defaults: Mapping[str, float] = field(default_factory=dict)
    """What fields of sampling are where a request leaves them out, before the model's own defaults."""
    instructions: bool = False
    """Whether the prompt of a completion is an instruction for the chat template, and not a text to be continued."""
    check: Callable[[SamplingParams], None] | None = None
    """Refuses what the server refuses, in its own words; what it lets pass is checked as ever."""
    usage_in_chunks: bool = False
    """Whether every chunk tells what the answer has cost so far."""
    streams_calls: bool = True
    """Whether streams tell of calls; else those that need not be made stay the text that the model writes."""

    def event(self, chunk: bytes, tools: bool) -> bytes:
        """A server-sent event of OpenAI's in this server's words; empty where it has none."""
        if self.chunk is None or not chunk:
            return chunk
        fields = self.chunk(msgspec.json.decode(chunk.removeprefix(_DATA)), tools)
        return b"" if fields is None else _event(msgspec.json.encode(fields))

    def body(self, answer: Fields, tools: bool) -> bytes:
        """JSON text of a whole answer of OpenAI's in this server's words."""
        return msgspec.json.encode(answer if self.answer is None else self.answer(answer, tools))

    def failed(self, error: RequestError) -> bytes:
        """The event of an error in mid-stream."""
        return _event(self.failure(error))

    def last_words(self, error: RequestError) -> bytes:
        """The end of a stream that cannot go on."""
        return self.failed(error) + self.done


def _event(data: bytes) -> bytes:
    return _DATA + data + b"\n\n"


OPENAI = Dialect()
