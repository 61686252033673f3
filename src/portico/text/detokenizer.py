"""Token ids in, text out, piece by piece, never cutting inside a character."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from tokenizers import Tokenizer as RustTokenizer

BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class Detokenizer(Protocol):
    """The text of one growing sequence of tokens."""

    def push(self, token_id: int) -> str:
        """The text that is certain once this token is known; empty while a character is incomplete."""
        ...


class Vocabulary:
    """What each token id contributes to the text, worked out once for a tokenizer and shared by all sequences.

    Decoders that treat tokens one by one (byte-level BPE; SentencePiece with byte fallback), which is nearly every
    decoder-only model, become a table from id to bytes, and text comes out at the cost of a dictionary look-up. Others
    (WordPiece and the like) are asked again for a short window of tokens at each step.
    """

    def __init__(self, rust: RustTokenizer, *, hidden: Iterable[int] = ()) -> None:
        self._rust = rust
        added = rust.get_added_tokens_decoder()
        self._added = frozenset(added)
        special = {token_id for token_id, token in added.items() if token.special}
        self._special = frozenset(special)
        self.special_texts = tuple(added[token_id].content for token_id in special)
        self._hidden = self._special.union(hidden)
        decoder = json.loads(rust.to_str()).get("decoder")
        rule = _token_rule(decoder)
        self._strip = _leading_spaces(decoder)
        vocabulary = rust.get_vocab(with_added_tokens=True)
        self._table = None if rule is None else {i: rule.to_bytes(token) for token, i in vocabulary.items()}

    def is_special(self, token_id: int) -> bool:
        """Whether a token stands for something else than its text."""
        return token_id in self._special

    def is_added(self, token_id: int) -> bool:
        """Whether a token was put to the vocabulary whole."""
        return token_id in self._added

    def bytes_of(self, token_id: int) -> bytes:
        """What a token stands for, special or not."""
        if self._table is not None:
            return self._table.get(token_id, b"")
        return self._rust.decode([token_id], skip_special_tokens=False).encode()

    def detokenizer(
        self,
        *,
        skip_special_tokens: bool = True,
        spaces_between_special_tokens: bool = True,
        continues: bool = False,
        shown: Collection[int] = (),
    ) -> Detokenizer:
        """A fresh detokeniser for one sequence, whose text may begin or go on; `shown` tokens are never left out."""
        hidden = self._hidden.difference(shown) if skip_special_tokens else frozenset()
        plain: Detokenizer
        if self._table is None:
            plain = WindowDetokenizer(self._rust, hidden)
        else:
            plain = ByteDetokenizer(self._table, 0 if continues else self._strip, hidden)
        return plain if spaces_between_special_tokens else CloseDetokenizer(plain, self._added)


class ByteDetokenizer:
    """Joins the tokens' bytes; the UTF-8 decoder holds at most three bytes of an incomplete character.

    Bytes that can never become a character turn into U+FFFD as soon as that is known, so nothing is held for long. A
    character still incomplete when the sequence ends never comes out.
    """

    def __init__(self, table: Mapping[int, bytes], strip: int, hidden: frozenset[int] = frozenset()) -> None:
        self._table = table
        self._hidden = hidden
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._strip = strip

    def push(self, token_id: int) -> str:
        text = "" if token_id in self._hidden else self._decode(self._table.get(token_id, b""))
        if self._strip and text:
            text = self._without_leading_spaces(text)
        return text

    def _without_leading_spaces(self, text: str) -> str:
        while self._strip and text.startswith(" "):
            self._strip -= 1
            text = text[1:]
        if text:
            self._strip = 0
        return text


class WindowDetokenizer:
    """Decodes the last piece again together with each new token; for decoders where neighbours shape the text.

    Such vocabularies have no byte tokens, so that every token is whole characters.
    """

    def __init__(self, rust: RustTokenizer, hidden: frozenset[int]) -> None:
        self._rust = rust
        self._hidden = hidden
        self._window: list[int] = []
        self._shown = ""

    def push(self, token_id: int) -> str:
        if token_id in self._hidden:
            return ""
        text = self._rust.decode([*self._window, token_id], skip_special_tokens=False)
        new = text[len(self._shown) :]
        self._window = [*self._window[-1:], token_id]
        self._shown = self._rust.decode(self._window, skip_special_tokens=False)
        return new


class CloseDetokenizer:
    """Takes away the space that a decoder writes between two added tokens which follow one another."""

    def __init__(self, plain: Detokenizer, added: frozenset[int]) -> None:
        self._plain = plain
        self._added = added
        self._after_added = False

    def push(self, token_id: int) -> str:
        text = self._plain.push(token_id)
        is_added = token_id in self._added
        if is_added and self._after_added:
            text = text.removeprefix(" ")
        self._after_added = is_added
        return text


class _TokenRule:
    """How one kind of decoder turns one token into bytes."""

    def __init__(self, *, byte_level: bool, byte_fallback: bool, replacements: Sequence[tuple[str, str]]) -> None:
        self._byte_level = _byte_of_character() if byte_level else None
        self._byte_fallback = byte_fallback
        self._replacements = replacements

    def to_bytes(self, token: str) -> bytes:
        for old, new in self._replacements:
            token = token.replace(old, new)
        if self._byte_fallback and (match := BYTE_TOKEN.fullmatch(token)):
            return bytes([int(match[1], 16)])
        if self._byte_level is not None:
            try:
                return bytes([self._byte_level[character] for character in token])
            except KeyError:  # an added token with a character outside the alphabet stands for its own text
                pass
        return token.encode("utf-8")


def _steps(decoder: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    if decoder is None:
        return []
    return list(decoder["decoders"]) if decoder["type"] == "Sequence" else [decoder]


def _token_rule(decoder: Mapping[str, Any] | None) -> _TokenRule | None:
    """The rule of a decoder whose steps all treat tokens one by one; None for any other."""
    steps = _steps(decoder)
    kinds = [step["type"] for step in steps]
    known = {"ByteLevel", "ByteFallback", "Replace", "Fuse", "Strip", "Metaspace"}
    if not steps or not known.issuperset(kinds):
        return None
    # After Fuse the whole text is one piece: only stripping its start can still be done token by token.
    after_fuse = steps[kinds.index("Fuse") + 1 :] if "Fuse" in kinds else []
    if any(step["type"] != "Strip" for step in after_fuse):
        return None
    if any(
        step["type"] == "Strip" and (step["content"] != " " or step["stop"] or step not in after_fuse) for step in steps
    ):
        return None
    replacements: list[tuple[str, str]] = []
    for step in steps:
        if step["type"] == "Replace":
            if "String" not in step["pattern"]:
                return None
            replacements.append((step["pattern"]["String"], step["content"]))
        elif step["type"] == "Metaspace":
            replacements.append((step["replacement"], " "))
    return _TokenRule(byte_level="ByteLevel" in kinds, byte_fallback="ByteFallback" in kinds, replacements=replacements)


def _leading_spaces(decoder: Mapping[str, Any] | None) -> int:
    """How many spaces at the very start of a text are the tokenizer's own and not the writer's."""
    for step in _steps(decoder):
        if step["type"] == "Strip":
            return int(step["start"])
        if step["type"] == "Metaspace" and step.get("prepend_scheme", "always") != "never":
            return 1
    return 0


def _byte_of_character() -> dict[str, int]:
    """The alphabet of byte-level BPE (GPT-2's bytes_to_unicode): printable bytes stay, others follow U+00FF."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(0x100) if byte not in printable]
    table.update({chr(0x100 + place): byte for place, byte in enumerate(others)})
    return table
