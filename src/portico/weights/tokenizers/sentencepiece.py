"""SentencePiece's tokenizer.model as an object of the tokenizers library.

Field numbers and meanings: sentencepiece_model.proto of google/sentencepiece.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from portico.weights.tokenizers import protobuf

SPACE = "▁"


class Kind(IntEnum):
    """What a piece is."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary."""

    text: str
    score: float = 0.0
    kind: Kind = Kind.NORMAL


@dataclass(frozen=True, slots=True)
class SentencePiece:
    """What a model file says, with the format's own defaults."""

    pieces: Sequence[Piece]
    unigram: bool = True
    """Otherwise byte-pair encoding."""
    byte_fallback: bool = False
    unk_id: int = 0
    charsmap: bytes = b""
    """Compiled rules that normalise characters; empty: none."""
    dummy_prefix: bool = True
    one_space: bool = True
    """Spaces at the ends are dropped, and several in a row become one."""
    bos: str | None = None
    eos: str | None = None

    @classmethod
    def parse(cls, data: bytes) -> SentencePiece:
        """Read a model file's bytes; ValueError if they are none, or of a kind that has no equal in tokenizers."""
        pieces: list[Piece] = []
        trainer: dict[int, protobuf.Value] = {}
        normalizer: dict[int, protobuf.Value] = {}
        for number, value in protobuf.fields(data):
            if number == 1 and isinstance(value, bytes):
                pieces.append(_piece(value))
            elif number == 2 and isinstance(value, bytes):
                trainer = dict(protobuf.fields(value))
            elif number == 3 and isinstance(value, bytes):
                normalizer = dict(protobuf.fields(value))
        if not pieces:
            raise ValueError("it has no pieces")
        kind = trainer.get(3, 1)
        if kind not in (1, 2):
            raise ValueError(f"its model_type is {kind!r}; only unigram (1) and BPE (2) are supported")
        if trainer.get(24, 0):
            raise ValueError("it has treat_whitespace_as_suffix, which is not supported")
        if not normalizer.get(5, 1):
            raise ValueError("it has escape_whitespaces false, which is not supported")
        charsmap = normalizer.get(2, b"")
        unknown = [index for index, piece in enumerate(pieces) if piece.kind is Kind.UNKNOWN]
        return cls(
            pieces,
            unigram=kind == 1,
            byte_fallback=bool(trainer.get(35, 0)),
            unk_id=unknown[0] if unknown else 0,
            charsmap=charsmap if isinstance(charsmap, bytes) else b"",
            dummy_prefix=bool(normalizer.get(3, 1)),
            one_space=bool(normalizer.get(4, 1)),
            bos=_control(pieces, trainer.get(46, b"<s>")),
            eos=_control(pieces, trainer.get(47, b"</s>")),
        )


def convert(source: SentencePiece, *, add_prefix_space: bool | None = None, legacy: bool = True) -> Tokenizer:
    """A tokenizer that splits text as SentencePiece does.

    `add_prefix_space` overrides the file's own dummy prefix. Without `legacy` it is as transformers says by that word:
    text behind a special token gets no space in front, nor does text that begins with one.
    """
    tokenizer = Tokenizer(_unigram(source) if source.unigram else _bpe(source))
    prefix = source.dummy_prefix if add_prefix_space is None else add_prefix_space
    steps: list[normalizers.Normalizer] = []
    if source.charsmap:
        steps.append(normalizers.Precompiled(source.charsmap))
    if source.one_space:
        steps += [normalizers.Replace(Regex(spaces), by) for spaces, by in ((r"\A +| +\z", ""), (" {2,}", " "))]
    if prefix and not legacy and not source.one_space:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, prepend_scheme="first", split=False)
    else:
        steps += [*([normalizers.Prepend(SPACE)] if prefix else []), normalizers.Replace(" ", SPACE)]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            *([decoders.Strip(" ", 1, 0)] if prefix else []),
        ]
    )
    tokenizer.add_tokens(
        [
            AddedToken(piece.text, normalized=False, special=piece.kind is not Kind.USER_DEFINED)
            for piece in source.pieces
            if piece.kind in (Kind.UNKNOWN, Kind.CONTROL, Kind.USER_DEFINED)
        ]
    )
    return tokenizer


def _piece(data: bytes) -> Piece:
    parts = dict(protobuf.fields(data))
    text, score, kind = parts.get(1, b""), parts.get(2, 0.0), parts.get(3, 1)
    if not isinstance(text, bytes) or not isinstance(score, float) or not isinstance(kind, int):
        raise ValueError("a piece is not made of text, score and kind")
    return Piece(text.decode("utf-8"), score, Kind(kind))


def _control(pieces: Sequence[Piece], name: protobuf.Value) -> str | None:
    text = name.decode("utf-8") if isinstance(name, bytes) else ""
    return text if any(piece.text == text and piece.kind is Kind.CONTROL for piece in pieces) else None


def _unigram(source: SentencePiece) -> models.Model:
    # A piece that is no text of its own must never be the best way to write something.
    worst = min(piece.score for piece in source.pieces) - 1000.0
    usable = (Kind.NORMAL, Kind.USER_DEFINED)
    vocab = [(piece.text, piece.score if piece.kind in usable else worst) for piece in source.pieces]
    return models.Unigram(vocab, unk_id=source.unk_id, byte_fallback=source.byte_fallback)


def _bpe(source: SentencePiece) -> models.Model:
    vocab = {piece.text: index for index, piece in enumerate(source.pieces)}
    return models.BPE(
        vocab=vocab,
        merges=_merges(source.pieces, vocab),
        unk_token=source.pieces[source.unk_id].text,
        fuse_unk=True,
        byte_fallback=source.byte_fallback,
    )


def _merges(pieces: Sequence[Piece], vocab: Mapping[str, int]) -> list[tuple[str, str]]:
    """Every pair of pieces that makes a piece, the best piece first: SentencePiece joins whichever pair scores best."""
    usable = {piece.text for piece in pieces if piece.kind is Kind.NORMAL}
    ranked = []
    for piece in pieces:
        if piece.kind is not Kind.NORMAL:
            continue
        for cut in range(1, len(piece.text)):
            left, right = piece.text[:cut], piece.text[cut:]
            if left in usable and right in usable:
                ranked.append((-piece.score, vocab[piece.text], vocab[left], vocab[right], left, right))
    ranked.sort()
    return [(left, right) for *_, left, right in ranked]
