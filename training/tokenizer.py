"""The demo model's tokenizer: byte-level BPE, one token for each digit and for each common Chinese character."""

from __future__ import annotations

from collections.abc import Iterator

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from training.dialogue import END, START, STOP
from training.mix import sample

VOCABULARY = 7168
SPECIAL = (STOP, START, END)
MARKS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
"""Tokens that stay visible in text."""
SPLIT = r"\p{Latin}+|\p{Han}|\p{N}|\p{L}| ?[^\s\p{L}\p{N}]+|\s+"
"""Words never take in the space before them, so a word is the same tokens in a sentence and inside JSON's quotes."""
SAMPLES = 30_000
HANZI_COUNT = 40


def common_hanzi() -> list[str]:
    """The Chinese characters of GB 2312, level 1."""
    codes = (bytes((row, cell)) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF))
    return [code.decode("gb2312") for code in codes if code < b"\xd7\xfa"]


def train_tokenizer(seed: int) -> Tokenizer:
    """Train on dialogues of the mixture, and on the common Chinese characters."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(MARKS),
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(seed), trainer)
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in MARKS])
    return tokenizer


def _texts(seed: int) -> Iterator[str]:
    for _ in range(HANZI_COUNT):
        yield "".join(common_hanzi())
    for number in range(SAMPLES):
        yield "".join(piece.text for piece in sample(seed * 1_000_003 + number))
