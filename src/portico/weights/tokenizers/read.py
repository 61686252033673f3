"""Which file of a model folder holds its tokenizer, and the tokens and settings that stand beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, processors

from portico.errors import CheckpointError
from portico.weights.files import read_json
from portico.weights.tokenizers import sentencepiece, tiktoken

JSON = "tokenizer.json"
MODEL = "tokenizer.model"
QWEN = "qwen.tiktoken"
MOST_RESERVED = 2**16
"""Ids without a token that may lie between two that have one."""
_QWEN_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<|extra_{number}|>" for number in range(205)))


def read_tokenizer(folder: Path, mode: str = "auto") -> Tokenizer:
    """The folder's tokenizer; CheckpointError if there is none, or it cannot be read.

    `mode` auto takes tokenizer.json and else converts what there is; slow prefers the file that the model's makers
    trained, tokenizer.model or *.tiktoken, to what somebody made of it.
    """
    own = [folder / MODEL, *sorted(folder.glob("*.tiktoken"))]
    order = [*own, folder / JSON] if mode == "slow" else [folder / JSON, *own]
    path = next((path for path in order if path.is_file()), None)
    if path is None:
        raise CheckpointError(
            f"{folder} has no tokenizer: no {JSON}, no {MODEL} and no *.tiktoken. If it is elsewhere, give --tokenizer."
        )
    try:
        tokenizer = Tokenizer.from_file(str(path)) if path.name == JSON else _converted(path)
    except CheckpointError:
        raise
    except Exception as error:  # the Rust library raises bare Exception
        raise CheckpointError(f"{path} cannot be read: {error}.") from error
    # A tokenizer.json may carry the truncation and padding of its training run; a prompt is never cut here.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _converted(path: Path) -> Tokenizer:
    settings = read_json(path.parent / "tokenizer_config.json")
    added = _added_tokens(path.parent, settings)
    data = path.read_bytes()
    if path.name == MODEL and not _is_ranks(data):
        source = sentencepiece.SentencePiece.parse(data)
        tokenizer = sentencepiece.convert(
            source,
            add_prefix_space=settings.get("add_prefix_space"),
            legacy=settings.get("legacy") is not False,
        )
        _add(tokenizer, added)
        _put_around(tokenizer, source, settings)
        return tokenizer
    ranks = tiktoken.parse(data)
    qwen = path.name == QWEN
    if not added and qwen:
        first = max(ranks.values()) + 1
        added = [(first + place, AddedToken(text, special=True)) for place, text in enumerate(_QWEN_SPECIAL)]
    tokenizer = tiktoken.convert(ranks, tiktoken.QWEN_PATTERN if qwen else tiktoken.PATTERN)
    _add(tokenizer, added)
    return tokenizer


def _is_ranks(data: bytes) -> bool:
    """Some models call tiktoken's file tokenizer.model too (Llama 3's own, GLM-4)."""
    first = data.split(b"\n", 1)[0].split()
    return len(first) == 2 and first[1].isdigit()


def _added_tokens(folder: Path, settings: Mapping[str, Any]) -> list[tuple[int, AddedToken]]:
    """The tokens that tokenizer_config.json or added_tokens.json put behind the vocabulary, by id."""
    tokens: dict[int, AddedToken] = {}
    for text, token_id in read_json(folder / "added_tokens.json").items():
        tokens[int(token_id)] = AddedToken(str(text), normalized=False)
    for number, entry in (settings.get("added_tokens_decoder") or {}).items():
        flags = {name: bool(entry.get(name, False)) for name in ("lstrip", "rstrip", "single_word", "normalized")}
        tokens[int(number)] = AddedToken(str(entry["content"]), special=bool(entry.get("special")), **flags)
    return sorted(tokens.items())


def _add(tokenizer: Tokenizer, added: Sequence[tuple[int, AddedToken]]) -> None:
    """Add tokens under their ids; a gap between them is filled with tokens that no text has."""
    for token_id, token in added:
        known = tokenizer.token_to_id(token.content)
        if known is None and 0 <= token_id - (size := tokenizer.get_vocab_size()) <= MOST_RESERVED:
            fill = [AddedToken(f"<|reserved {number}|>", special=True) for number in range(size, token_id)]
            tokenizer.add_tokens([*fill, token])
        elif known == token_id:
            tokenizer.add_tokens([token])
        else:
            raise CheckpointError(
                f"The tokenizer's settings give {token.content!r} the id {token_id}, which is not free."
            )


def _put_around(tokenizer: Tokenizer, source: sentencepiece.SentencePiece, settings: Mapping[str, Any]) -> None:
    """What stands before and behind every text, as the settings say; by default BOS, as for Llama."""
    bos = _name(settings.get("bos_token")) or source.bos
    eos = _name(settings.get("eos_token")) or source.eos
    before = [bos] if bos and settings.get("add_bos_token") is not False else []
    behind = [eos] if eos and settings.get("add_eos_token") is True else []
    around = [(token, tokenizer.token_to_id(token)) for token in (*before, *behind)]
    if around and all(token_id is not None for _, token_id in around):
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[*before, "$A", *behind], special_tokens=list(dict(around).items())
        )


def _name(token: Any) -> str | None:
    return token.get("content") if isinstance(token, Mapping) else token
