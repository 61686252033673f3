"""Small model folders, made with the tokenizers library: byte-level as in Qwen, SentencePiece as in Llama 2."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from portico.text.detokenizer import Vocabulary
from portico.weights.tokenizers import tiktoken
from portico.weights.tokenizers.sentencepiece import SentencePiece, convert

CORPUS = [
    "The capital of France is Paris. The capital of Japan is Tokyo. Hello, world! What is your name?",
    "你好,世界!法国的首都是巴黎。日本的首都是东京。你叫什么名字?",
    "def main(): return 1 + 2  # a comment   with   spaces",
    "emoji: 😀 👩‍👩‍👧 é ü ñ — “quotes” …",
] * 4
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def byte_level(vocab_size: int = 400) -> Tokenizer:
    """Byte-level BPE with ChatML's special tokens and one added token that is not special."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_tokens([AddedToken("<think>", special=False), AddedToken("added é token", special=False)])
    return tokenizer


def llama(strip: int = 1, *, prepend: bool = True) -> Tokenizer:
    """SentencePiece as in Llama 2's tokenizer.json: ▁ for spaces, byte fallback, one leading space put and stripped."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    characters = sorted({character for text in CORPUS[:2] for character in text.replace(" ", "▁")} - {"界"})
    pieces += [*characters, "▁T", "he", "▁is"]
    vocab = {piece: index for index, piece in enumerate(dict.fromkeys(["▁", *pieces[3:]]), start=3)}
    vocab.update({"<unk>": 0, "<s>": 1, "</s>": 2})
    merges = [("▁", "T"), ("h", "e"), ("i", "s"), ("▁", "is")]
    vocab.setdefault("is", len(vocab))
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    spaces = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    tokenizer.normalizer = normalizers.Sequence(spaces if prepend else spaces[1:])
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            *([decoders.Strip(" ", strip, 0)] if strip else []),
        ]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def metaspace() -> Tokenizer:
    """SentencePiece in its older form: a Metaspace pre-tokenizer and decoder."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>", "</s>"], show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def word_piece() -> Tokenizer:
    """BERT's tokenizer, which some Chinese GPT-2 models have; its decoder looks at neighbouring tokens."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[UNK]", "[SEP]"], show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def sentence_piece_file(**kind: Any) -> bytes:
    """A trained tokenizer.model."""
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 4),
        model_writer=file,
        hard_vocab_limit=False,
        minloglevel=2,
        num_threads=1,
        **kind,
    )
    return file.getvalue()


def sentence_piece(**kind: Any) -> Tokenizer:
    """SentencePiece's own file, as it is converted."""
    return convert(SentencePiece.parse(sentence_piece_file(**kind)))


def ranks_file() -> bytes:
    """A tiktoken file: the merges of the byte-level tokenizer."""
    bytes_of = Vocabulary(byte_level()).bytes_of
    vocab = byte_level().get_vocab(with_added_tokens=False)
    tokens = [
        bytes_of(token_id)
        for token, token_id in sorted(vocab.items(), key=lambda item: item[1])
        if "|" not in token[1:]
    ]
    return b"".join(b"%b %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens))


def tiktoken_file() -> Tokenizer:
    """A tiktoken file, as it is converted."""
    return tiktoken.convert(tiktoken.parse(ranks_file()))


def write_folder(
    folder: Path,
    tokenizer: Tokenizer | None = None,
    *,
    config: dict[str, Any] | None = None,
    generation: dict[str, Any] | None = None,
    template: str | None = CHATML,
) -> Path:
    """A model folder as far as the text layer reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    (tokenizer or byte_level()).save(str(folder / "tokenizer.json"))
    settings = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "tokenizer_class": "PreTrainedTokenizerFast"}
    settings |= config or {}
    if template is not None:
        settings["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}), encoding="utf-8")
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation), encoding="utf-8")
    return folder
