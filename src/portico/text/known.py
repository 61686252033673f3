"""What is known of a conversation in tokens, so that a turn encodes only what is new and finds the keys of the rest."""

from __future__ import annotations

from collections.abc import Sequence

from portico.protocol.request import Known
from portico.text.tokenizer import Tokenizer


def encode_after(known: Known | None, text: str, tokenizer: Tokenizer, special: bool, param: str) -> list[int]:
    """The tokens of a laid-out text: those that are known of its beginning, and the rest encoded.

    What is known counts only where the text goes on with a special token: there it can be parted without changing a
    token. Else, as where a template lays out old turns in another way, all is encoded.
    """
    if known is not None and text.startswith(known.text):
        rest = text[len(known.text) :]
        if tokenizer.begins_special(rest):
            return [*known.token_ids, *tokenizer.encode(rest, add_special_tokens=False, param=param)]
    return tokenizer.encode(text, add_special_tokens=special, param=param)


def answer_text(said_ids: Sequence[int], tokenizer: Tokenizer, *, continues: bool = False) -> str:
    """What was said as it stands in a conversation, special tokens included; or as it `continues` the prompt."""
    detokenizer = tokenizer.detokenizer(skip_special_tokens=False, continues=continues)
    return "".join(detokenizer.push(token_id) for token_id in said_ids)


def known_after(text: str, prompt_ids: Sequence[int], said_ids: Sequence[int], tokenizer: Tokenizer) -> Known:
    """What is known once a prompt, laid out as `text`, was answered with `said_ids`, its end token not among them."""
    return Known(text + answer_text(said_ids, tokenizer, continues=True), [*prompt_ids, *said_ids])
