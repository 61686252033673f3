"""What a session knows: the conversation so far, as messages and as tokens."""

from __future__ import annotations

import hashlib
from array import array
from typing import Any

import msgspec

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

    def known(self, vocabulary: str) -> Known | None:
        """The tokens, if they are of this vocabulary: a session may outlive the model that it began with."""
        if not self.text or self.vocabulary != vocabulary:
            return None
        return Known(self.text, array(_TOKENS, self.token_ids))

    def after(self, messages: list[dict[str, Any]], known: Known | None, vocabulary: str, tokens: int) -> History:
        """The conversation with more messages, and what is known of it then."""
        together = [*self.messages, *messages]
        if known is None:
            return History(together, tokens)
        ids = array(_TOKENS, known.token_ids).tobytes()
        return History(together, tokens, known.text, ids, vocabulary)


def pack(history: History) -> bytes:
    """The stored form."""
    return msgspec.msgpack.encode(history)


def unpack(data: bytes) -> History:
    """A stored history; msgspec.DecodeError if it is none."""
    return msgspec.msgpack.decode(data, type=History)
