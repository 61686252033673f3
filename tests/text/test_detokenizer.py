from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers

from portico.text.detokenizer import ByteDetokenizer, Vocabulary, WindowDetokenizer
from tests.text import folders

BYTE_LEVEL = folders.byte_level()
TOKENIZERS = {
    "byte-level": BYTE_LEVEL,
    "llama": folders.llama(),
    "gemma": folders.llama(strip=0),
    "metaspace": folders.metaspace(),
    "wordpiece": folders.word_piece(),
    "sentencepiece bpe": folders.sentence_piece(model_type="bpe", byte_fallback=True, vocab_size=430),
    "sentencepiece unigram": folders.sentence_piece(model_type="unigram", byte_fallback=True, vocab_size=430),
    "sentencepiece unigram without bytes": folders.sentence_piece(model_type="unigram", vocab_size=180),
    "tiktoken": folders.tiktoken_file(),
}
VOCABULARIES = {name: Vocabulary(tokenizer) for name, tokenizer in TOKENIZERS.items()}
names = st.sampled_from(sorted(TOKENIZERS))
CHARACTERS = "ab Tehe is\n  世界你好é😀👩‍👧<|im_end|>\ufffde\u0301\u0302ก็"
texts = st.text(st.sampled_from(CHARACTERS), max_size=30) | st.text(max_size=20)


def stream(vocabulary: Vocabulary, ids: list[int]) -> list[str]:
    detokenizer = vocabulary.detokenizer()
    return [detokenizer.push(token_id) for token_id in ids]


@settings(max_examples=300, deadline=None)
@given(names, texts)
def test_deltas_of_a_text_join_to_the_full_decode(name: str, text: str) -> None:
    tokenizer = TOKENIZERS[name]
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert "".join(stream(VOCABULARIES[name], ids)) == tokenizer.decode(ids)


@settings(max_examples=300, deadline=None)
@given(names, st.data())
def test_any_tokens_that_decode_to_valid_text_join_to_it(name: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[name]
    ids = data.draw(st.lists(st.integers(0, tokenizer.get_vocab_size() - 1), max_size=12))
    whole = tokenizer.decode(ids)
    assume("\ufffd" not in whole)
    assert "".join(stream(VOCABULARIES[name], ids)) == whole


@settings(max_examples=300, deadline=None)
@given(names, st.data())
def test_any_bytes_come_out_as_decoding_their_text_at_once_does(name: str, data: st.DataObject) -> None:
    """Tokens of single bytes, valid or not, among others: the same text as all bytes decoded together."""
    vocabulary, tokenizer = VOCABULARIES[name], TOKENIZERS[name]
    ids = data.draw(st.lists(st.integers(0, tokenizer.get_vocab_size() - 1), max_size=30))
    hidden = [i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special]
    if isinstance(vocabulary.detokenizer(), WindowDetokenizer):
        return  # it has no tokens that are parts of characters
    raw = b"".join(vocabulary.bytes_of(token_id) for token_id in ids if token_id not in hidden)
    whole = raw.decode("utf-8", errors="replace")
    shown = "".join(map(vocabulary.detokenizer(continues=True).push, ids))
    assert whole.startswith(shown)
    assert set(whole[len(shown) :]) <= {"\ufffd"}
    assert len(whole) - len(shown) <= 3


@settings(max_examples=300, deadline=None)
@example([BYTE_LEVEL.token_to_id("í"), BYTE_LEVEL.token_to_id("ł")])  # ED A0: the start of a surrogate
@given(st.lists(st.integers(3, BYTE_LEVEL.get_vocab_size() - 1), max_size=60))
def test_garbage_bytes_never_hold_text_back_for_long(ids: list[int]) -> None:
    """Whatever a random model says, what is not yet shown is at most three bytes: the start of one character.

    The library shows it as one U+FFFD, or as two where Python still waits for the end of a surrogate, which UTF-8 bans.
    """
    whole = BYTE_LEVEL.decode(ids)
    shown = "".join(stream(VOCABULARIES["byte-level"], ids))
    assert whole.startswith(shown)
    assert set(whole[len(shown) :]) <= {"\ufffd"}
    assert len(whole) - len(shown) <= 2


def test_a_character_comes_out_with_its_last_byte() -> None:
    ids = byte_ids("a😀b")
    assert stream(VOCABULARIES["byte-level"], ids) == ["a", "", "", "", "😀", "b"]


def test_byte_fallback_holds_a_character_together() -> None:
    llama = TOKENIZERS["llama"]
    ids = llama.encode("T 界", add_special_tokens=False).ids
    deltas = stream(VOCABULARIES["llama"], ids)
    assert "".join(deltas) == "T 界"
    assert all("\ufffd" not in delta for delta in deltas)


def test_half_a_character_at_the_end_never_comes_out() -> None:
    assert "".join(stream(VOCABULARIES["byte-level"], byte_ids("ok 界")[:-1])) == "ok "


def test_a_genuine_replacement_character_is_text() -> None:
    assert "".join(stream(VOCABULARIES["byte-level"], byte_ids("x\ufffd"))) == "x\ufffd"


def test_special_and_hidden_tokens_give_no_text() -> None:
    vocabulary = Vocabulary(BYTE_LEVEL, hidden=[BYTE_LEVEL.token_to_id("<think>")])
    ids = BYTE_LEVEL.encode("a<|im_end|><think>b", add_special_tokens=False).ids
    assert "".join(stream(vocabulary, ids)) == "ab"
    assert "".join(stream(Vocabulary(BYTE_LEVEL), ids)) == "a<think>b"


def written(tokenizer: Tokenizer, ids: list[int], *, spaces: bool) -> str:
    detokenizer = Vocabulary(tokenizer).detokenizer(skip_special_tokens=False, spaces_between_special_tokens=spaces)
    return "".join(detokenizer.push(token_id) for token_id in ids)


@settings(max_examples=200, deadline=None)
@given(names, st.data())
def test_spaces_between_special_tokens_are_the_decoders_own_or_none(name: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[name]
    added = sorted(tokenizer.get_added_tokens_decoder())
    word = tokenizer.encode("Paris", add_special_tokens=False).ids
    pieces = data.draw(st.lists(st.sampled_from([*([token_id] for token_id in added), word]), max_size=8))
    ids = [token_id for piece in pieces for token_id in piece]
    whole = tokenizer.decode(ids, skip_special_tokens=False)
    assert written(tokenizer, ids, spaces=True) == whole
    contents = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    either = "|".join(map(re.escape, contents))
    assert written(tokenizer, ids, spaces=False) == re.sub(rf"({either}) (?={either})", r"\1", whole)


def test_only_some_decoders_write_spaces_between_special_tokens() -> None:
    word_piece = TOKENIZERS["wordpiece"]
    ids = [word_piece.token_to_id("[SEP]")] * 2
    assert (written(word_piece, ids, spaces=True), written(word_piece, ids, spaces=False)) == (
        "[SEP] [SEP]",
        "[SEP][SEP]",
    )
    ids = [BYTE_LEVEL.token_to_id("<|im_end|>")] * 2
    assert written(BYTE_LEVEL, ids, spaces=True) == written(BYTE_LEVEL, ids, spaces=False) == "<|im_end|>" * 2


def test_ids_beyond_the_vocabulary_give_no_text() -> None:
    """Models pad their embedding to a round size, and a random one draws such ids too."""
    assert stream(VOCABULARIES["byte-level"], [100_000]) == [""]
    assert stream(VOCABULARIES["wordpiece"], [100_000]) == [""]


@pytest.mark.parametrize(
    ("name", "kind"), [("byte-level", ByteDetokenizer), ("llama", ByteDetokenizer), ("wordpiece", WindowDetokenizer)]
)
def test_the_table_is_used_where_tokens_stand_alone(name: str, kind: type) -> None:
    assert isinstance(VOCABULARIES[name].detokenizer(), kind)


def byte_ids(text: str, tokenizer: Tokenizer = BYTE_LEVEL) -> list[int]:
    """The text with a token for each byte."""
    by_character = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)[0][0]
    ids = [tokenizer.token_to_id(character) for character in by_character]
    assert len(ids) == len(text.encode())
    return ids
