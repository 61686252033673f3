"""Filling in the middle: prompts of what stands before and behind the text that is wanted, in the model's own form.

Which form a model has is told by its vocabulary; whether it was trained on it, no file says.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from portico.errors import RequestError
from portico.text.tokenizer import LiteralText, Tokenizer


class Part(Enum):
    """What a request gives."""

    PREFIX = "prompt"
    SUFFIX = "suffix"


@dataclass(frozen=True, slots=True)
class Form:
    """How one kind of model writes a text with a gap, and which tokens, besides its own, end what fills the gap."""

    layout: tuple[str | Part, ...]
    ends: tuple[str, ...] = ()

    @property
    def markers(self) -> tuple[str, ...]:
        """The tokens that stand between the parts."""
        return tuple(piece for piece in self.layout if isinstance(piece, str))


def _gap_last(before: str, between: str, behind: str, *ends: str) -> Form:
    return Form((before, Part.PREFIX, between, Part.SUFFIX, behind), ends)


# Bavarian et al. 2022, arXiv:2207.14255, and what the makers of each model say. A vocabulary has the first form of
# which it has all markers. Behind the gap a model writes an end of text, padding, or the start of another file.
FORMS = (
    # Qwen2.5-Coder, Qwen3-Coder (and the vocabulary of every other Qwen since), CodeGemma, Granite 4
    _gap_last(
        *("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
        *("<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<|file_separator|>", "<|endoftext|>"),
    ),
    # StarCoder, StarCoder2, Granite up to 3.3, StableCode
    _gap_last(
        *("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
        *("<fim_pad>", "<repo_name>", "<reponame>", "<file_sep>", "<filename>", "<|endoftext|>"),
    ),
    # SantaCoder
    _gap_last("<fim-prefix>", "<fim-suffix>", "<fim-middle>", "<fim-pad>", "<|endoftext|>"),
    # CodeLlama, Rozière et al. 2023, arXiv:2308.12950
    _gap_last("▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"),
    # DeepSeek-Coder, DeepSeek-V2 and V3; the bars and underlines are none of ASCII's
    _gap_last("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", "<|EOT|>"),
    # Seed-Coder
    Form(("<[fim-suffix]>", Part.SUFFIX, "<[fim-prefix]>", Part.PREFIX, "<[fim-middle]>")),
    # Codestral
    Form(("[SUFFIX]", Part.SUFFIX, "[PREFIX]", Part.PREFIX)),
)


class Infill:
    """One model's form, over its tokenizer."""

    def __init__(self, form: Form, tokenizer: Tokenizer) -> None:
        """The vocabulary has all markers of `form`."""
        self._form = form
        self._tokenizer = tokenizer
        ids = {token: tokenizer.id_of(token) for token in (*form.ends, *form.markers)}
        self._ids = {token: token_id for token, token_id in ids.items() if token_id is not None}

    @classmethod
    def find(cls, tokenizer: Tokenizer) -> Infill | None:
        """The form that the vocabulary has, or None."""
        known = (form for form in FORMS if all(tokenizer.id_of(marker) is not None for marker in form.markers))
        return next((cls(form, tokenizer) for form in known), None)

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Tokens that end the middle, besides the model's own ends."""
        return tuple(self._ids.values())

    @cached_property
    def _text(self) -> LiteralText:
        """Made at the first use: few models that could be asked this are, and it is a second tokenizer."""
        return self._tokenizer.literal(tuple(self._ids))

    def prompt_ids(self, prefix: str, suffix: str, *, add_special_tokens: bool, param: str) -> list[int]:
        """The prompt behind which the model writes the middle; no token is read in what a person wrote."""
        parts = {
            Part.PREFIX: self._text.encode(prefix, param=param),
            # Only the first text has the space that SentencePiece puts in front: the suffix goes on where the gap ends.
            Part.SUFFIX: self._text.encode(suffix, continues=True, param=Part.SUFFIX.value),
        }
        ids = list(self._tokenizer.leading_ids) if add_special_tokens else []
        for piece in self._form.layout:
            ids += parts[piece] if isinstance(piece, Part) else [self._ids[piece]]
        return ids


def no_infill() -> RequestError:
    """What a client is told who asks this of a model that has no form for it."""
    return RequestError(
        "suffix is given, but this model has no fill-in-the-middle tokens, so it cannot fill a gap; leave suffix out.",
        param="suffix",
        code="unsupported_parameter",
    )
