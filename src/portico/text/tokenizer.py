"""The tokenizer of a model folder: text to token ids and back, and which ids end a text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as RustTokenizer

from portico.errors import CheckpointError, RequestError
from portico.text.detokenizer import Detokenizer, Vocabulary
from portico.text.least import LeastTokens
from portico.weights.files import read_json
from portico.weights.tokenizers.read import read_tokenizer

_PROBE = "The quick brown fox, 12345 (naïve) été Ünïcode; 敏捷的棕色狐狸。Быстрая лиса\n\tdef f(x): return x ** 2  # 😀"
SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The strings of the tokens that have a role, as chat templates see them; None where the model has none."""

    bos_token: str | None = None
    eos_token: str | None = None
    unk_token: str | None = None
    sep_token: str | None = None
    pad_token: str | None = None
    cls_token: str | None = None
    mask_token: str | None = None


class Tokenizer:
    """A `tokenizers.Tokenizer` with the settings of the model folder around it; safe to use from several threads."""

    def __init__(self, rust: RustTokenizer, special: SpecialTokens, eos_token_ids: Sequence[int] = ()) -> None:
        self._rust = rust
        self.special = special
        own_eos = rust.token_to_id(special.eos_token) if special.eos_token is not None else None
        ids = [*eos_token_ids, *([own_eos] if own_eos is not None else [])]
        self.eos_token_ids: tuple[int, ...] = tuple(dict.fromkeys(ids))
        self._vocabulary = Vocabulary(rust, hidden=self.eos_token_ids)

    @classmethod
    def load(cls, folder: str | Path, *, model_folder: str | Path | None = None, mode: str = "auto") -> Tokenizer:
        """Read a tokenizer and the JSON files beside it; CheckpointError if it is missing or broken.

        The model's own folder, where it is another, says which tokens end a text. `mode` is as in `read_tokenizer`.
        """
        folder = Path(folder)
        rust = read_tokenizer(folder, mode)
        special = _special_tokens(_settings(folder), rust)
        present = [token for token in _strings(special) if rust.token_to_id(token) is not None]
        rust.add_special_tokens(present)
        return cls(rust, special, _eos_ids(Path(model_folder or folder)))

    @property
    def vocab_size(self) -> int:
        """Number of tokens, added ones included."""
        return self._rust.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str, *, add_special_tokens: bool, param: str | None = None) -> list[int]:
        """Token ids of `text`; RequestError naming `param` for text that has no UTF-8 form (lone surrogates).

        `add_special_tokens` adds what tokenizer.json's post-processor says. As in transformers 5, it alone decides:
        add_bos_token of tokenizer_config.json is for tokenizers that are made from other files.
        """
        _refuse_surrogates(text, param)
        # The fast one leaves out where in the text each token was, a fifth of the work.
        return self._rust.encode_batch_fast([text], add_special_tokens=add_special_tokens)[0].ids

    def at_least(self, text: str) -> int:
        """So many tokens `text` has at the least, as its size alone tells; 0 where it tells nothing."""
        return 0 if self._least is None else self._least.count(text)

    @cached_property
    def _least(self) -> LeastTokens | None:
        return LeastTokens.of(self._rust)

    def names(self, token_ids: Sequence[int]) -> list[str | None]:
        """The tokens as the vocabulary spells them; None for an id that it lacks."""
        return [self._rust.id_to_token(token_id) for token_id in token_ids]

    def special_id(self, token: str) -> int | None:
        """The id of a special token by its exact text, None if there is none."""
        token_id = self._rust.token_to_id(token)
        return token_id if token_id is not None and self._vocabulary.is_special(token_id) else None

    def control_id(self, token: str) -> int | None:
        """The id of a token that grammars know by its id alone, None if it is text to them.

        Those are special tokens, and to llguidance also added ones in angle brackets.
        """
        token_id = self._rust.token_to_id(token)
        if token_id is None or not self._vocabulary.is_added(token_id):
            return None
        return token_id if self._vocabulary.is_special(token_id) or (token[0], token[-1]) == ("<", ">") else None

    def id_of(self, token: str) -> int | None:
        """The id of a token by its exact text, None if the vocabulary lacks it."""
        return self._rust.token_to_id(token)

    def begins_special(self, text: str) -> bool:
        """Whether a text begins with a special token, before which it can be parted without changing any token."""
        return text.startswith(self._vocabulary.special_texts)

    @cached_property
    def fingerprint(self) -> str:
        """What tells this vocabulary from others: a digest of how it encodes a few words of many kinds."""
        ids = self._rust.encode(_PROBE).ids
        return hashlib.sha256(json.dumps([self.vocab_size, ids]).encode()).hexdigest()[:32]

    @property
    def leading_ids(self) -> list[int]:
        """The tokens (BOS) that the post-processor puts in front of a text."""
        bare, whole = (self._rust.encode("a", add_special_tokens=special).ids for special in (False, True))
        places = (place for place in range(len(whole)) if whole[place : place + len(bare)] == bare)
        return whole[: next(places, 0)]

    def literal(self, controls: Sequence[str]) -> LiteralText:
        """An encoder of text in which neither special tokens nor `controls` are meant; it costs a second tokenizer."""
        return LiteralText(self._rust, controls)

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """The text of a finished sequence of ids, as the tokenizers library gives it."""
        return self._rust.decode(list(token_ids), skip_special_tokens=skip_special_tokens)

    def bytes_of(self, token_id: int) -> bytes:
        """The bytes that a token stands for; they may be a part of a character."""
        return self._vocabulary.bytes_of(token_id)

    def detokenizer(
        self,
        *,
        skip_special_tokens: bool = True,
        spaces_between_special_tokens: bool = True,
        continues: bool = False,
        shown: Collection[int] = (),
    ) -> Detokenizer:
        """A fresh incremental detokeniser for one sequence; special tokens and end-of-sequence may be left out.

        Tokens in `shown` are never left out.

        Spaces between special tokens are those that the tokenizer's decoder writes, which for most is none.
        Text that `continues` another keeps the space that a tokenizer takes from the start of a text.
        """
        return self._vocabulary.detokenizer(
            skip_special_tokens=skip_special_tokens,
            spaces_between_special_tokens=spaces_between_special_tokens,
            continues=continues,
            shown=shown,
        )


class LiteralText:
    """Encodes what a person wrote as text and nothing else: a special token's name is its letters."""

    _ANCHOR = "☺"
    """What text is put behind that has something before it; Meta's reference code for CodeLlama uses the same."""

    def __init__(self, rust: RustTokenizer, controls: Sequence[str]) -> None:
        self._rust = RustTokenizer.from_str(rust.to_str())
        self._rust.add_special_tokens(list(controls))
        self._rust.encode_special_tokens = True
        first = self._rust.encode("a", add_special_tokens=False).tokens[:1]
        self._prepends_space = bool(first) and first[0].startswith(("▁", "Ġ"))

    def encode(self, text: str, *, continues: bool = False, param: str | None = None) -> list[int]:
        """Token ids; text that `continues` another gets no space in front from a tokenizer that puts one there."""
        _refuse_surrogates(text, param)
        if continues and self._prepends_space:
            anchor, ids = self._ids(self._ANCHOR), self._ids(self._ANCHOR + text)
            if ids[: len(anchor)] == anchor:
                return ids[len(anchor) :]
        return self._ids(text)

    def _ids(self, text: str) -> list[int]:
        return self._rust.encode(text, add_special_tokens=False).ids


def _refuse_surrogates(text: str, param: str | None) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RequestError(
            f"The text has a lone surrogate at character {error.start}; it cannot be encoded as UTF-8.",
            param=param,
            code="invalid_value",
        ) from error


def _settings(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, and where it leaves a special token out, the older special_tokens_map.json."""
    return {**read_json(folder / "special_tokens_map.json"), **read_json(folder / "tokenizer_config.json")}


def _special_tokens(settings: Mapping[str, Any], rust: RustTokenizer) -> SpecialTokens:
    given = {name: _token_string(settings.get(name), name) for name in SPECIAL_NAMES}
    if settings:
        return SpecialTokens(**given)
    # A bare tokenizer.model: what SentencePiece calls them, if it is one.
    usual = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return SpecialTokens(**given | {name: text for name, text in usual.items() if rust.token_to_id(text) is not None})


def _token_string(value: Any, name: str) -> str | None:
    """A token is written as its string or as an AddedToken object with the string under `content`."""
    if isinstance(value, Mapping):
        value = value.get("content")
    if value is None or isinstance(value, str):
        return value
    raise CheckpointError(f"tokenizer_config.json: {name} is {value!r}; a string was expected.")


def _strings(special: SpecialTokens) -> list[str]:
    return [token for name in SPECIAL_NAMES if (token := getattr(special, name)) is not None]


def _eos_ids(folder: Path) -> list[int]:
    """End-of-sequence ids of generation_config.json, else of config.json (text_config for multimodal models)."""
    config = read_json(folder / "config.json")
    text_config = config.get("text_config")
    candidates = [read_json(folder / "generation_config.json"), config, text_config or {}]
    for candidate in candidates:
        value = candidate.get("eos_token_id")
        if value is None:
            continue
        ids = value if isinstance(value, list) else [value]
        if not all(isinstance(item, int) and not isinstance(item, bool) for item in ids):
            raise CheckpointError(f"eos_token_id is {json.dumps(value)}; an integer or a list of them was expected.")
        return ids
    return []
