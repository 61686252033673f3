"""What a session knows: the conversation so far, as messages and as tokens."""

from __future__ import annotations

import hashlib
from array import array
from typing import Any

import msgspec
from msgspec.structs import replace

from portico.protocol.request import Known

_TOKENS = "i"


class Key(msgspec.Struct, frozen=True):
    """Which session: the same id is another session for another owner."""

    owner: str
    id: str


def owner_of(key_digest: str, model: str, kind: str = "") -> str:
    """Whose sessions they are: those of an API key (by its digest; empty where none is asked for) with one model.

    What is of another kind than sessions is as another owner's.
    """
    parts = [key_digest, model, kind] if kind else [key_digest, model]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


class Mark(msgspec.Struct, frozen=True):
    """Where a turn ended."""

    tokens: int
    messages: int
    known: tuple[int, int] = (0, 0)
    """Characters and bytes of what is known that belong to it; none if what came later was laid out otherwise."""


class History(msgspec.Struct, frozen=True):
    """A conversation after some turns; stored as msgpack."""

    messages: list[dict[str, Any]] = []
    tokens: int = 0
    """Tokens of the conversation: those of the last prompt and its answer."""
    text: str = ""
    """What `token_ids` stand for; empty: nothing is known in tokens."""
    token_ids: bytes = b""
    """32-bit integers, little-endian."""
    vocabulary: str = ""
    """Fingerprint of the tokenizer that they belong to."""
    marks: list[Mark] = []
    """The ends of its turns, oldest first."""

    def known(self, vocabulary: str) -> Known | None:
        """The tokens, if they are of this vocabulary: a session may outlive the model that it began with."""
        if not self.text or self.vocabulary != vocabulary:
            return None
        return Known(self.text, array(_TOKENS, self.token_ids))

    def after(self, messages: list[dict[str, Any]], known: Known | None, vocabulary: str, tokens: int) -> History:
        """The conversation with more messages, and what is known of it then."""
        together = [*self.messages, *messages]
        ids = b"" if known is None else array(_TOKENS, known.token_ids).tobytes()
        text = "" if known is None else known.text
        marks = self.marks
        if not (text.startswith(self.text) and ids.startswith(self.token_ids)):
            marks = [Mark(mark.tokens, mark.messages) for mark in marks]
        marks = [*marks, Mark(tokens, len(together), (len(text), len(ids)))]
        return History(together, tokens, text, ids, vocabulary if text else "", marks)

    def back_to(self, tokens: int) -> History | None:
        """The conversation as it was when a turn ended after so many tokens; None if none did."""
        place = next((place for place, mark in enumerate(self.marks) if mark.tokens == tokens), None)
        if place is None:
            return None
        mark = self.marks[place]
        chars, size = mark.known
        known = (self.text[:chars], self.token_ids[:size], self.vocabulary) if chars else ()
        return replace(History(self.messages[: mark.messages], tokens, *known), marks=self.marks[: place + 1])


def pack(history: History) -> bytes:
    """The stored form."""
    return msgspec.msgpack.encode(history)


def unpack(data: bytes) -> History:
    """A stored history; msgspec.DecodeError if it is none."""
    return msgspec.msgpack.decode(data, type=History)
