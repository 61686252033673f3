"""A turn encodes only what is new, and never reads other text than the whole conversation is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.protocol.request import ChatPrompt, GenerationRequest, Known
from portico.protocol.sampling import SamplingParams
from portico.text.known import encode_after, known_after
from portico.text.model import TextModel
from portico.text.tokenizer import Tokenizer
from tests.text.folders import llama, write_folder

END = "<|im_end|>"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    return TextModel.load(write_folder(tmp_path_factory.mktemp("model")))


def spelled(tokenizer: Tokenizer, text: str) -> list[int]:
    """The text as one token for each byte, which no tokenizer would choose."""
    return [tokenizer.encode(chr(byte), add_special_tokens=False)[0] for byte in text.encode("ascii")]


def ids_of(model: TextModel, prompt: ChatPrompt, special: bool | None = None) -> list[int]:
    sampling = SamplingParams(add_special_tokens=special)
    return model.prompt_ids(GenerationRequest("r", prompt, sampling), 402)


def test_drawn_tokens_are_taken_as_they_were_drawn(model: TextModel) -> None:
    said = "The capital of France is Paris."
    first = ChatPrompt([{"role": "user", "content": "Hello"}])
    prompt_ids, said_ids = ids_of(model, first), spelled(model.tokenizer, said)
    known = known_after(model.laid_out(first), prompt_ids, said_ids, model.tokenizer)
    messages = [*first.messages, {"role": "assistant", "content": said}, {"role": "user", "content": "And Japan?"}]
    ids = ids_of(model, ChatPrompt(messages, known=known))
    assert ids[: len(prompt_ids) + len(said)] == [*prompt_ids, *said_ids]
    whole = ids_of(model, ChatPrompt(messages))
    assert len(ids) > len(whole)
    assert model.tokenizer.decode(ids, skip_special_tokens=False) == model.laid_out(ChatPrompt(messages))
    assert ids[len(prompt_ids) + len(said) :] == whole[-len(ids) + len(prompt_ids) + len(said) :]


@pytest.mark.parametrize("changed", ["The capital of France is Paris", "Something else"])
def test_a_conversation_that_went_otherwise_is_encoded_whole(model: TextModel, changed: str) -> None:
    first = ChatPrompt([{"role": "user", "content": "Hello"}])
    said_ids = spelled(model.tokenizer, "The capital of France is Paris.")
    known = known_after(model.laid_out(first), ids_of(model, first), said_ids, model.tokenizer)
    messages = [*first.messages, {"role": "assistant", "content": changed}, {"role": "user", "content": "And Japan?"}]
    assert ids_of(model, ChatPrompt(messages, known=known)) == ids_of(model, ChatPrompt(messages))


def test_special_tokens_that_are_asked_for_are_not_lost(model: TextModel) -> None:
    prompt = ChatPrompt([{"role": "user", "content": "Hello"}], known=Known("", []))
    assert ids_of(model, prompt, special=True) == ids_of(model, ChatPrompt(prompt.messages), special=True)


@given(parts=st.lists(st.text(alphabet="ab é世😀 \n", max_size=8), min_size=1, max_size=4), cut=st.integers(0, 40))
def test_whatever_is_known_the_text_is_the_same(model: TextModel, parts: list[str], cut: int) -> None:
    text = END.join(parts)
    head = text[: cut % (len(text) + 1)]
    known = Known(head, [token for byte in head.encode() for token in [_byte(model, byte)]])
    ids = encode_after(known, text, model.tokenizer, False, "prompt")
    assert model.tokenizer.decode(ids, skip_special_tokens=False) == text


def _byte(model: TextModel, byte: int) -> int:
    return next(token for token in range(402) if model.tokenizer.bytes_of(token) == bytes([byte]))


def test_where_no_special_token_parts_the_text_all_is_encoded(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write_folder(tmp_path, llama()))
    text = "The capital of France is Paris."
    known = Known("The capital", spelled(tokenizer, "T"))
    whole = tokenizer.encode(text, add_special_tokens=True)
    assert encode_after(known, text, tokenizer, True, "prompt") == whole


def test_vocabularies_are_told_apart(model: TextModel, tmp_path: Path) -> None:
    other = Tokenizer.load(write_folder(tmp_path, llama()))
    assert other.fingerprint != model.tokenizer.fingerprint
    again = TextModel.load(write_folder(tmp_path / "again"))
    assert again.tokenizer.fingerprint == model.tokenizer.fingerprint
