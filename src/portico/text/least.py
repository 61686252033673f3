"""How many tokens a text has at the least, told by its size: so that what is far too long need not be encoded first.

No token stands for more bytes than the longest of the vocabulary. That holds only where every byte of a text reaches
the vocabulary, so forms of tokenizers that may drop, join or shrink text without limit have no such bound.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer as RustTokenizer
from tokenizers import pre_tokenizers

Part = Mapping[str, Any]
"""A component as tokenizer.json has it."""

_LARGEST_CHARACTER = 4
_CANONICAL = frozenset({"NFC", "NFD", "NFKC", "NFKD"})
_ASCII = bytes(range(0x80))
_IDEOGRAPHS = b"\xe4\xe5\xe6\xe7\xe8\xe9"
"""What U+4000 to U+9FFF begin with in UTF-8; no other character has these bytes."""
_BLANKS = "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"  # fmt: skip # noqa: E501
_KEEPING = frozenset({"ByteLevel", "Digits", "Metaspace", "Punctuation", "Split"})
_ADDING = frozenset({"ByteLevel", "BertProcessing", "RobertaProcessing"})


@dataclass(frozen=True, slots=True)
class LeastTokens:
    """A lower bound of the number of tokens of any text."""

    longest: int
    """Bytes that one token may stand for."""
    composes: bool
    """Whether characters are first brought into a canonical form, which may be shorter."""
    swallows: bool
    """Whether some tokens take the white space around them."""

    @classmethod
    def of(cls, rust: RustTokenizer) -> LeastTokens | None:
        """The bound of a tokenizer that neither cuts nor fills up; None for one whose form gives none."""
        form = json.loads(rust.to_str())
        normalizers = list(_flat(form["normalizer"], "normalizers"))
        steps = list(_flat(form["pre_tokenizer"], "pretokenizers"))
        processors = list(_flat(form["post_processor"], "processors"))
        sound = (
            all(map(_grows, normalizers))
            and all(map(_keeps, steps))
            and all(map(_adds, processors))
            and _reads_all(form["model"], steps, frozenset(rust.get_vocab(with_added_tokens=False)))
        )
        if not sound:
            return None
        added = [token["content"] for token in form["added_tokens"]]
        if rust.normalizer is not None:  # where an added token is found in the text as it is then
            added += [rust.normalizer.normalize_str(token) for token in added]
        sizes = (len(token.encode("utf-8", "surrogatepass")) for token in (*rust.get_vocab(), *added))
        return cls(
            max((_LARGEST_CHARACTER, *sizes)),
            any(step["type"] in _CANONICAL for step in normalizers),
            any(token["lstrip"] or token["rstrip"] for token in form["added_tokens"]),
        )

    def count(self, text: str) -> int:
        """No text has fewer tokens."""
        data = text.encode("utf-8", "surrogatepass")
        size = len(data)
        if self.composes and not text.isascii():
            # Neither ASCII nor ideographs become shorter; of the rest nothing is said.
            others = len(data.translate(None, _ASCII))
            size += 3 * (others - len(data.translate(None, _ASCII + _IDEOGRAPHS))) - others
        if self.swallows:
            size -= sum(text.count(blank) * len(blank.encode()) for blank in _BLANKS)
        return max(0, -(-size // self.longest))


def _flat(part: Part | None, within: str) -> Iterator[Part]:
    """A component, or those of which it is a sequence."""
    if part is None:
        return
    if part["type"] != "Sequence":
        yield part
        return
    for step in part[within]:
        yield from _flat(step, within)


def _grows(normalizer: Part) -> bool:
    """Whether it makes no text shorter than `count` reckons with."""
    match normalizer:
        case {"type": "Replace", "pattern": {"String": str(old)}, "content": str(new)}:
            return 0 < len(old.encode()) <= len(new.encode()) and not any(map(str.isspace, new))
        case {"type": kind}:
            return kind == "Prepend" or kind in _CANONICAL
    return False


def _keeps(step: Part) -> bool:
    """Whether it only cuts text into pieces."""
    return step["type"] in _KEEPING and step.get("behavior") != "Removed"


def _adds(processor: Part) -> bool:
    """Whether it only puts tokens around those of the text."""
    if processor["type"] == "TemplateProcessing":
        return any(piece.get("Sequence", {}).get("id") == "A" for piece in processor["single"])
    return processor["type"] in _ADDING


def _reads_all(model: Part, steps: list[Part], vocabulary: frozenset[str]) -> bool:
    """Whether every character becomes part of a token of its own size: none is skipped, no unknown ones are joined."""
    if model["type"] == "BPE" and (model["continuing_subword_prefix"] or model["end_of_word_suffix"]):
        return False
    if model["type"] not in ("BPE", "Unigram"):
        return False
    if steps and steps[-1]["type"] == "ByteLevel" and vocabulary.issuperset(pre_tokenizers.ByteLevel.alphabet()):
        return True
    if model["byte_fallback"] and vocabulary.issuperset(f"<0x{byte:02X}>" for byte in range(256)):
        return True
    return model["type"] == "BPE" and model["unk_token"] is not None and not model["fuse_unk"]
