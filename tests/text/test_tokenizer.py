from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from portico.errors import CheckpointError, RequestError
from portico.text.tokenizer import Tokenizer
from tests.text import folders

TEXT = "Hello, world! 你好 <|im_end|> 😀  two  spaces"


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (folders.byte_level, {}),
        (folders.byte_level, {"bos_token": "<|endoftext|>", "add_bos_token": True}),
        (folders.byte_level, {"bos_token": "<|endoftext|>", "add_bos_token": False}),
        (folders.llama, {"bos_token": "<s>", "eos_token": "</s>", "pad_token": None}),
        (folders.llama, {"bos_token": "<s>", "eos_token": "</s>", "pad_token": None, "add_bos_token": False}),
        (
            folders.llama,
            {
                "bos_token": {"__type": "AddedToken", "content": "<s>"},
                "eos_token": "</s>",
                "pad_token": None,
                "add_bos_token": True,
            },
        ),
        (folders.llama, {"eos_token": "</s>", "pad_token": None, "add_eos_token": True}),
    ],
)
def test_encodes_and_decodes_as_transformers_does(kind, config, tmp_path: Path) -> None:
    folder = folders.write_folder(tmp_path, kind(), config=config)
    ours, oracle = Tokenizer.load(folder), AutoTokenizer.from_pretrained(folder)
    for special in (True, False):
        ids = ours.encode(TEXT, add_special_tokens=special)
        assert ids == oracle.encode(TEXT, add_special_tokens=special)
        for skip in (True, False):
            expected = oracle.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False)
            assert ours.decode(ids, skip_special_tokens=skip) == expected


def test_truncation_and_padding_of_a_training_run_are_not_ours(tmp_path: Path) -> None:
    tokenizer = folders.byte_level()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=300)
    ours = Tokenizer.load(folders.write_folder(tmp_path, tokenizer))
    ids = ours.encode("The capital of France is Paris. " * 5, add_special_tokens=True)
    assert ours.decode(ids) == "The capital of France is Paris. " * 5


@pytest.mark.parametrize(
    ("generation", "config", "expected"),
    [
        (None, {}, (2,)),
        ({"eos_token_id": [0, 2]}, {"eos_token_id": 1}, (0, 2)),
        ({"eos_token_id": 1}, {"eos_token_id": 0}, (1, 2)),
        (None, {"eos_token_id": 0}, (0, 2)),
        (None, {"text_config": {"eos_token_id": [1, 0]}}, (1, 0, 2)),
    ],
)
def test_end_tokens_come_from_the_nearest_file_and_the_tokenizer(generation, config, expected, tmp_path: Path) -> None:
    folder = folders.write_folder(tmp_path, generation=generation)
    (folder / "config.json").write_text(json.dumps(config))
    assert Tokenizer.load(folder).eos_token_ids == expected


def test_lone_surrogates_are_the_clients_error(tmp_path: Path) -> None:
    ours = Tokenizer.load(folders.write_folder(tmp_path))
    with pytest.raises(RequestError, match="surrogate") as caught:
        ours.encode("ok \ud800", add_special_tokens=True, param="prompt.3")
    assert caught.value.param == "prompt.3"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", None, "no tokenizer.json"),
        ("tokenizer.json", "{not json", "cannot be read"),
        ("tokenizer_config.json", "[]", "object was expected"),
        ("tokenizer_config.json", '{"eos_token": 5}', "eos_token is 5"),
        ("generation_config.json", '{"eos_token_id": "x"}', "eos_token_id"),
        ("config.json", "{", "cannot be read as JSON"),
    ],
)
def test_broken_folders_say_what_is_wrong(name: str, content: str | None, message: str, tmp_path: Path) -> None:
    folder = folders.write_folder(tmp_path)
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with pytest.raises(CheckpointError, match=message):
        Tokenizer.load(folder)
