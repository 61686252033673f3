"""Tokenizers that come as SentencePiece's or tiktoken's files, held against those libraries and transformers."""

from __future__ import annotations

import contextlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from portico.errors import CheckpointError
from portico.text.tokenizer import Tokenizer
from portico.weights.tokenizers import tiktoken as ours_tiktoken
from portico.weights.tokenizers.read import read_tokenizer
from portico.weights.tokenizers.sentencepiece import SentencePiece, convert
from tests.text.folders import ranks_file, sentence_piece_file, write_folder

KINDS: dict[str, dict[str, Any]] = {
    "llama": {
        "model_type": "bpe", "byte_fallback": True, "split_digits": True, "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False, "allow_whitespace_only_pieces": True,
    },
    "bpe": {"model_type": "bpe"},
    "unigram": {"model_type": "unigram"},
    "unigram with bytes": {
        "model_type": "unigram", "byte_fallback": True, "user_defined_symbols": ["<sep>"],
        "add_dummy_prefix": False,
    },
}  # fmt: skip
texts = st.text(st.sampled_from("ab Tehe is\n\t  世界你好é😀👩‍👧é①ﬁ12<>/s\u200b"), max_size=40) | st.text(max_size=20)


@cache
def trained(kind: str) -> bytes:
    """A model file of some hundred pieces."""
    size = 430 if "byte_fallback" in KINDS[kind] else 180
    return sentence_piece_file(vocab_size=size, **KINDS[kind])


@cache
def pair(kind: str) -> tuple[sentencepiece.SentencePieceProcessor, Any]:
    theirs = sentencepiece.SentencePieceProcessor()
    theirs.LoadFromSerializedProto(trained(kind))
    return theirs, convert(SentencePiece.parse(trained(kind)))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(KINDS)), texts)
def test_text_is_split_as_sentencepiece_does(kind: str, text: str) -> None:
    theirs, ours = pair(kind)
    if any(name in text for name in ("<s>", "</s>", "<unk>", "\x00")):
        return  # control tokens are read in text, as transformers does; SentencePiece spells them
    ids = ours.encode(text, add_special_tokens=False).ids
    assert ids == theirs.encode(text)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(KINDS)), texts)
def test_text_comes_back_as_sentencepiece_gives_it(kind: str, text: str) -> None:
    theirs, ours = pair(kind)
    ids = theirs.encode(text)
    if theirs.unk_id() in ids:
        return  # which SentencePiece writes as a sign of its own
    assert ours.decode(ids, skip_special_tokens=False) == theirs.decode(ids)


def folder_with(path: Path, name: str, data: bytes, config: dict[str, Any] | None = None) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / name).write_bytes(data)
    (path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    if config is not None:
        (path / "tokenizer_config.json").write_text(json.dumps(config))
    return path


@pytest.fixture(scope="module")
def llamas(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Any]:
    added = {"content": "<pad>", "special": True, "normalized": False, "lstrip": False, "rstrip": False}
    size = pair("llama")[0].vocab_size()
    config = {
        "tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
        "pad_token": "<pad>", "add_bos_token": True, "legacy": False,
        "added_tokens_decoder": {str(size): {**added, "single_word": False}},
    }  # fmt: skip
    folder = folder_with(tmp_path_factory.mktemp("llama"), "tokenizer.model", trained("llama"), config)
    return Tokenizer.load(folder), AutoTokenizer.from_pretrained(folder)


@settings(max_examples=200, deadline=None)
@given(text=texts | st.lists(st.sampled_from(["<s>", "</s>", "<pad>", " is", "The ", "世"]), max_size=6).map("".join))
def test_a_folder_with_only_a_model_file_is_read_as_transformers_does(text: str, llamas: tuple[Tokenizer, Any]) -> None:
    ours, theirs = llamas
    for special in (True, False):
        ids = ours.encode(text, add_special_tokens=special)
        assert ids == theirs.encode(text, add_special_tokens=special)
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def test_a_bare_model_file_has_its_own_special_tokens(tmp_path: Path) -> None:
    ours = Tokenizer.load(folder_with(tmp_path, "tokenizer.model", trained("llama")))
    assert ours.encode("The", add_special_tokens=True)[0] == ours.id_of("<s>") == ours.leading_ids[0]
    assert (ours.special.bos_token, ours.eos_token_ids) == ("<s>", (ours.id_of("</s>"),))


@cache
def encodings() -> tuple[tiktoken.Encoding, Any]:
    parsed = ours_tiktoken.parse(ranks_file())
    theirs = tiktoken.Encoding("x", pat_str=ours_tiktoken.PATTERN, mergeable_ranks=parsed, special_tokens={})
    return theirs, ours_tiktoken.convert(parsed)


@settings(max_examples=300, deadline=None)
@given(texts)
def test_text_is_split_as_tiktoken_does(text: str) -> None:
    theirs, ours = encodings()
    ids = ours.encode(text, add_special_tokens=False).ids
    assert ids == theirs.encode_ordinary(text)
    assert ours.decode(ids) == text


def test_a_qwen_file_brings_its_special_tokens(tmp_path: Path) -> None:
    data = ranks_file()
    folder = folder_with(tmp_path, "qwen.tiktoken", data, {"eos_token": "<|im_end|>"})
    ours = Tokenizer.load(folder)
    first = len(data.splitlines())
    assert ours.id_of("<|endoftext|>") == first
    assert ours.eos_token_ids == (first + 2,)
    ids = ours.encode("<|im_start|>user 12", add_special_tokens=True)
    assert ids[0] == first + 1
    assert ours.decode(ids, skip_special_tokens=False) == "<|im_start|>user 12"


def test_ids_between_added_tokens_are_kept_free(tmp_path: Path) -> None:
    data = ranks_file()
    size = len(data.splitlines())
    added = {str(size + 5): {"content": "<|user|>", "special": True}, str(size): {"content": "<think>"}}
    ours = Tokenizer.load(folder_with(tmp_path, "tokenizer.model", data, {"added_tokens_decoder": added}))
    assert (ours.id_of("<think>"), ours.id_of("<|user|>")) == (size, size + 5)
    assert ours.vocab_size == size + 6


def test_slow_prefers_the_makers_file_and_takes_another_where_there_is_none(tmp_path: Path) -> None:
    folder = folder_with(write_folder(tmp_path), "tokenizer.model", trained("llama"))
    assert read_tokenizer(folder).token_to_id("<|im_end|>") is not None
    assert read_tokenizer(folder, "slow").token_to_id("<0x41>") is not None
    (folder / "tokenizer.model").unlink()
    assert read_tokenizer(folder, "slow").token_to_id("<|im_end|>") is not None


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("tokenizer.model", b"", "no pieces"),
        ("tokenizer.model", b"\x0a\xff\xff\xff\xff\x0f", "goes past the end"),
        ("tokenizer.model", b"IQ== 0\n", "lacks 255 of the 256"),
        ("x.tiktoken", b"IQ== 0\n!!! 1\n", "line 2"),
        ("x.tiktoken", b"", "empty"),
    ],
)
def test_a_broken_file_says_what_is_wrong(name: str, data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_tokenizer(folder_with(tmp_path, name, data))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    """Whatever is wrong is a ValueError, which names the file where one is read."""
    with contextlib.suppress(ValueError):
        assert SentencePiece.parse(data).pieces


def test_an_id_that_is_taken_is_refused(tmp_path: Path) -> None:
    config = {"added_tokens_decoder": {"5": {"content": "<|user|>"}}}
    with pytest.raises(CheckpointError, match="not free"):
        read_tokenizer(folder_with(tmp_path, "tokenizer.model", trained("llama"), config))
