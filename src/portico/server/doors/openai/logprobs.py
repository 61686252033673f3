"""Log-probabilities as OpenAI writes them: one form for chat, one for completions."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field
from typing import Any

from portico.errors import RequestError
from portico.protocol.events import TextDelta, TokenInfo, TokenText

MAX_CHAT_TOP_LOGPROBS = 20


@dataclass(slots=True)
class ChatLogprobs:
    """Writes the `logprobs` of chat choices."""

    as_ids: bool
    """Tokens as "token_id:17" instead of their text, which need not be unique."""

    def write(self, delta: TextDelta) -> dict[str, Any]:
        """The object of the tokens of one delta."""
        return {"content": [self._token(info) for info in delta.tokens], "refusal": None}

    def _token(self, info: TokenInfo) -> dict[str, Any]:
        return {**self._entry(info.token), "top_logprobs": [self._entry(other) for other in info.top]}

    def _entry(self, token: TokenText) -> dict[str, Any]:
        return {"token": _name(token, self.as_ids), "logprob": token.logprob, "bytes": list(token.bytes)}


@dataclass(slots=True)
class CompletionLogprobs:
    """Writes the `logprobs` of completion choices; counts where in its choice's text each token begins."""

    as_ids: bool
    _places: dict[int, _Place] = field(default_factory=dict)

    def write(self, delta: TextDelta) -> dict[str, Any]:
        """The object of the tokens of one delta."""
        place = self._places.setdefault(delta.choice, _Place())
        return {
            "text_offset": [place.next(info.token.bytes) for info in delta.tokens],
            "token_logprobs": [info.token.logprob for info in delta.tokens],
            "tokens": [_name(info.token, self.as_ids) for info in delta.tokens],
            "top_logprobs": [self._top(info) for info in delta.tokens],
        }

    def _top(self, info: TokenInfo) -> dict[str, float]:
        """Of tokens with the same text the likeliest; the token itself is always there."""
        found: dict[str, float] = {}
        for token in (*info.top, info.token):
            found.setdefault(_name(token, self.as_ids), token.logprob)
        return found


class _Place:
    """How many characters of a text are complete."""

    def __init__(self) -> None:
        self.characters = 0
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode

    def next(self, piece: bytes) -> int:
        """Where a token begins that adds these bytes."""
        start = self.characters
        self.characters += len(self._decode(piece))
        return start


def _name(token: TokenText, as_ids: bool) -> str:
    return f"token_id:{token.id}" if as_ids else token.text


def chat_count(logprobs: bool | None, top_logprobs: int | None) -> int | None:
    """How many of the likeliest tokens a chat request wants to see, None for no logprobs at all."""
    if top_logprobs is not None and not 0 <= top_logprobs <= MAX_CHAT_TOP_LOGPROBS:
        raise RequestError(
            f"top_logprobs is {top_logprobs}; it must be from 0 to {MAX_CHAT_TOP_LOGPROBS}.",
            param="top_logprobs",
            code="invalid_value",
        )
    if logprobs:
        return top_logprobs or 0
    if top_logprobs:
        raise RequestError(
            f"top_logprobs is {top_logprobs}; it needs logprobs to be true.", param="top_logprobs", code="invalid_value"
        )
    return None


def completion_count(logprobs: int | None, most: int) -> int | None:
    """How many of the likeliest tokens a completion request wants to see; `most` is the server's limit."""
    if logprobs is not None and not 0 <= logprobs <= most:
        raise RequestError(
            f"logprobs is {logprobs}; it must be from 0 to {most} (--max-logprobs).",
            param="logprobs",
            code="invalid_value",
        )
    return logprobs


Logprobs = ChatLogprobs | CompletionLogprobs
