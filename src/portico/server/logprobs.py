"""Log-probabilities of an answer's tokens as OpenAI writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from portico.protocol.events import TokenInfo, TokenText


def token_entries(tokens: Sequence[TokenInfo], *, as_ids: bool) -> list[dict[str, Any]]:
    """Of each token that is part of the text itself, and of the likeliest in its place.

    `as_ids` names tokens as "token_id:17" instead of by their text, which need not be unique.
    """
    return [
        {**_entry(info.token, as_ids), "top_logprobs": [_entry(other, as_ids) for other in info.top]}
        for info in tokens
        if info.said
    ]


def token_name(token: TokenText, as_ids: bool) -> str:
    """What a token is called."""
    return f"token_id:{token.id}" if as_ids else token.text


def _entry(token: TokenText, as_ids: bool) -> dict[str, Any]:
    return {"token": token_name(token, as_ids), "logprob": token.logprob, "bytes": list(token.bytes)}
