"""The JSON of streamed chunks, put together from parts that are encoded once for a request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from portico.protocol.events import (
    Embedding,
    Failure,
    Finish,
    FinishReason,
    GenerationEvent,
    PromptScores,
    ReasoningDelta,
    TextDelta,
    TokenInfo,
    ToolCallDelta,
    Usage,
)
from portico.server.doors.openai.logprobs import Logprobs
from portico.server.fold import Progress

_encode = msgspec.json.Encoder().encode


def _call(delta: ToolCallDelta) -> dict[str, Any]:
    """The beginning of a call, or more of its arguments, as OpenAI writes them."""
    function = (
        {"arguments": delta.arguments} if delta.name is None else {"name": delta.name, "arguments": delta.arguments}
    )
    begin = {} if delta.name is None else {"id": delta.id, "type": "function"}
    return {"tool_calls": [{"index": delta.index, **begin, "function": function}]}


@dataclass(frozen=True, slots=True)
class Form:
    """How one kind of completion writes a choice of a chunk; text goes between `before` and `after`."""

    object: str
    before: bytes
    after: bytes
    end: bytes
    """Stands in place of text in the chunk that carries the finish_reason."""
    call: Callable[[ToolCallDelta], dict[str, Any]] = _call
    """The delta of a call."""
    called: str = "tool_calls"
    """The finish_reason of an answer that calls."""

    @property
    def is_chat(self) -> bool:
        """Whether choices are messages."""
        return self.object.startswith("chat.")

    def reason(self, reason: FinishReason) -> str:
        """The finish_reason in this form's words."""
        return self.called if reason == "tool_calls" else reason


CHAT = Form("chat.completion.chunk", b'"delta":{"content":', b"}", b'"delta":{}')
COMPLETION = Form("text_completion", b'"text":', b"", b'"text":""')


class ChunkWriter:
    """Writes the events of one request as server-sent events, one for each."""

    def __init__(
        self,
        form: Form,
        head: dict[str, object],
        *,
        include_usage: bool,
        logprobs: Logprobs | None = None,
        token_ids: Progress | None = None,
        tally: Progress | None = None,
    ) -> None:
        """`head` are the fields that all chunks have: id, created, model and so on.

        With `token_ids` each chunk tells its tokens, the first those of the prompt too; with `tally` each tells what
        the answer has cost so far.
        """
        self._token_ids = token_ids
        self._tally = tally
        self._form = form
        self._logprobs = logprobs
        self._include_usage = include_usage
        self._open = b"data: " + _encode({**head, "object": form.object})[:-1] + b',"choices":['
        null_usage = b',"usage":null' if include_usage and tally is None else b""
        self._end = b',"finish_reason":null}]' + null_usage + b"}\n\n"
        self._more = form.after + b',"logprobs":null' + self._end
        self._null_usage = null_usage

    def role(self, choice: int, role: str) -> bytes:
        """The first chunk of a chat choice."""
        delta = b'"delta":{"role":%b,"content":""},"logprobs":null,"finish_reason":null}]' % _encode(role)
        return self._closed(b"%b%b%b}\n\n" % (self._begin(choice), delta, self._null_usage))

    def _begin(self, choice: int) -> bytes:
        """A chunk up to what its choice says."""
        progress = self._token_ids
        if progress is None:
            return b'%b{"index":%d,' % (self._open, choice)
        opened, prompt = self._open, b""
        if progress.is_new(choice):
            prompt = b'"prompt_token_ids":%b,' % _encode(progress.prompt_ids(choice))
            if self._form.is_chat:  # there all choices have one prompt, and it stands beside them
                opened, prompt = b"data: {%b%b" % (prompt, opened.removeprefix(b"data: {")), b""
        ids = _encode(progress.new_ids(choice))
        return b'%b{"index":%d,%b"token_ids":%b,"output_ids":%b,' % (opened, choice, prompt, ids, ids)

    def _closed(self, chunk: bytes) -> bytes:
        """A chunk of a choice with what the answer has cost so far, where that is to be told."""
        if self._tally is None:
            return chunk
        return b'%b,"usage":%b}\n\n' % (chunk.removesuffix(b"}\n\n"), _encode(_short_usage(self._tally.usage())))

    def _told(self, choice: int, tokens: Sequence[TokenInfo]) -> bytes:
        """The log-probabilities and the end of a chunk."""
        told = self._logprobs.write(choice, tokens) if tokens and self._logprobs is not None else None
        return b',"logprobs":%b%b' % (_encode(told), self._end)

    def write(self, event: GenerationEvent) -> bytes:
        """One event; empty for a usage that was not asked for."""
        if isinstance(event, Usage):
            told = self._open + b'],"usage":' + _encode(usage_fields(event)) + b"}\n\n"
            return told if self._include_usage else b""
        chunk = self._chunk(event)
        return self._closed(chunk) if chunk else chunk

    def _chunk(self, event: GenerationEvent) -> bytes:
        match event:
            case TextDelta(_, "", tokens=tokens) if tokens and self._form.is_chat and not any(t.said for t in tokens):
                return b""  # the token that ended the answer
            case TextDelta(choice, text, tokens=tokens):
                more = self._more
                if tokens and self._logprobs is not None:
                    more = self._form.after + self._told(choice, tokens)
                return b"%b%b%b%b" % (self._begin(choice), self._form.before, _encode(text), more)
            case ToolCallDelta(choice, tokens=tokens):
                delta, told = _encode(self._form.call(event)), self._told(choice, tokens)
                return b'%b"delta":%b%b' % (self._begin(choice), delta, told)
            case ReasoningDelta(choice, text, tokens=tokens):
                thought, told = _encode(text), self._told(choice, tokens)
                delta = b'"delta":{"reasoning_content":%b,"reasoning":%b}' % (thought, thought)
                return b"%b%b%b" % (self._begin(choice), delta, told)
            case PromptScores() | Embedding() | Failure() | Usage():
                return b""  # no field of a chunk holds them
            case Finish(choice, reason):
                ending = b'%b,"logprobs":null,"finish_reason":%b}]' % (
                    self._form.end,
                    _encode(self._form.reason(reason)),
                )
                return b"%b%b%b}\n\n" % (self._begin(choice), ending, self._null_usage)


def _short_usage(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def usage_fields(usage: Usage) -> dict[str, object]:
    """OpenAI's usage object."""
    return {
        **_short_usage(usage),
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
