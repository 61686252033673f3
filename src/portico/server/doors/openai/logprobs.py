"""Log-probabilities as OpenAI writes them: one form for chat, one for completions."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from portico.errors import RequestError
from portico.protocol.events import TokenInfo
from portico.server.logprobs import token_entries, token_name

MAX_CHAT_TOP_LOGPROBS = 20


@dataclass(slots=True)
class ChatLogprobs:
    """Writes the `logprobs` of chat choices; a token that ends an answer is none of its content."""

    as_ids: bool
    """Tokens as "token_id:17" instead of their text, which need not be unique."""

    def write(self, choice: int, tokens: Sequence[TokenInfo]) -> dict[str, Any]:
        """The object of the tokens of one delta of a choice."""
        return {"content": token_entries(tokens, as_ids=self.as_ids), "refusal": None}


@dataclass(slots=True)
class CompletionLogprobs:
    """Writes the `logprobs` of completion choices, the token that ends one included; counts where each begins."""

    as_ids: bool
    count: int
    """Likeliest tokens to show."""
    _places: dict[int, _Place] = field(default_factory=dict)

    def write(self, choice: int, tokens: Sequence[TokenInfo]) -> dict[str, Any]:
        """The object of the tokens of one delta of a choice."""
        place = self._places.setdefault(choice, _Place())
        return {
            "text_offset": [place.next(info.token.bytes if info.said else b"") for info in tokens],
            "token_logprobs": [info.token.logprob for info in tokens],
            "tokens": [token_name(info.token, self.as_ids) for info in tokens],
            "top_logprobs": [self._top(info) for info in tokens],
        }

    def _top(self, info: TokenInfo) -> dict[str, float] | None:
        """Of tokens with the same text the likeliest; the token itself is always there."""
        if info.token.logprob is None:
            return None
        found: dict[str, float] = {}
        for token in (*info.top[: self.count], info.token):
            if token.logprob is not None:
                found.setdefault(token_name(token, self.as_ids), token.logprob)
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


def prompt_entries(tokens: Sequence[TokenInfo], count: int) -> list[dict[str, Any] | None]:
    """vLLM's `prompt_logprobs`: for each token of the prompt the `count` likeliest and itself, by their ids."""
    entries: list[dict[str, Any] | None] = []
    for info in tokens:
        if info.rank is None:
            entries.append(None)
            continue
        ranked = [(info.rank, info.token), *enumerate(info.top[:count], 1)]
        entries.append(
            {
                str(token.id): {"logprob": token.logprob, "rank": rank, "decoded_token": token.text}
                for rank, token in ranked
            }
        )
    return entries


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


def prompt_count(asked: int | None, stream: bool, most: int) -> int | None:
    """How many of the likeliest tokens a request wants to see for each of the prompt's."""
    if asked is not None and not 0 <= asked <= most:
        raise RequestError(
            f"prompt_logprobs is {asked}; it must be from 0 to {most} (--max-logprobs).",
            param="prompt_logprobs",
            code="invalid_value",
        )
    if asked is not None and stream:
        raise RequestError(
            "prompt_logprobs are not part of a stream; leave prompt_logprobs or stream out.",
            param="prompt_logprobs",
            code="invalid_value",
        )
    return asked


Logprobs = ChatLogprobs | CompletionLogprobs
