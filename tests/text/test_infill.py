"""Filling in the middle: each form as its model's makers write it, and nothing that a person wrote read as a token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tokenizers import AddedToken
from tokenizers import Tokenizer as RustTokenizer

from portico.errors import RequestError
from portico.protocol.request import GenerationRequest, TextPrompt
from portico.protocol.sampling import SamplingParams
from portico.text.infill import FORMS, Infill
from portico.text.model import TextModel
from tests.server.fake_engine import LOADED
from tests.text import folders

PREFIX, SUFFIX = "def main():", " return 1 + 2\n"


@dataclass(frozen=True)
class Case:
    """A kind of model: its tokenizer, the tokens it adds, its prompt with `P` and `S` for the parts, what ends it."""

    base: Callable[[], RustTokenizer]
    tokens: str
    prompt: str
    ends: str
    special: bool = True


CASES = {
    "qwen": Case(
        folders.byte_level,
        "<|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|>",
        "<|fim_prefix|> P <|fim_suffix|> S <|fim_middle|>",
        "<|fim_pad|> <|repo_name|> <|file_sep|> <|endoftext|>",
        special=False,  # as in Qwen2.5's own tokenizer.json
    ),
    "codegemma": Case(
        lambda: folders.llama(strip=0, prepend=False),
        "<|fim_prefix|> <|fim_suffix|> <|fim_middle|> <|file_separator|>",
        "<s> <|fim_prefix|> P <|fim_suffix|> S <|fim_middle|>",
        "<|file_separator|>",
    ),
    "starcoder": Case(
        folders.byte_level,
        "<fim_prefix> <fim_middle> <fim_suffix> <fim_pad> <filename> <reponame>",
        "<fim_prefix> P <fim_suffix> S <fim_middle>",
        "<fim_pad> <filename> <reponame> <|endoftext|>",
    ),
    "santacoder": Case(
        folders.byte_level,
        "<fim-prefix> <fim-middle> <fim-suffix> <fim-pad>",
        "<fim-prefix> P <fim-suffix> S <fim-middle>",
        "<fim-pad> <|endoftext|>",
    ),
    "codellama": Case(folders.llama, "▁<PRE> ▁<MID> ▁<SUF> ▁<EOT>", "<s> ▁<PRE> P ▁<SUF> S ▁<MID>", "▁<EOT>"),
    "deepseek": Case(
        folders.byte_level,
        "<｜fim▁begin｜> <｜fim▁hole｜> <｜fim▁end｜> <|EOT|>",
        "<｜fim▁begin｜> P <｜fim▁hole｜> S <｜fim▁end｜>",
        "<|EOT|>",
    ),
    "seed-coder": Case(
        folders.byte_level,
        "<[fim-prefix]> <[fim-suffix]> <[fim-middle]>",
        "<[fim-suffix]> S <[fim-prefix]> P <[fim-middle]>",
        "",
    ),
    "codestral": Case(folders.llama, "[PREFIX] [MIDDLE] [SUFFIX]", "<s> [SUFFIX] S [PREFIX] P", ""),
}


def load(case: Case, folder: Path) -> TextModel:
    rust = case.base()
    rust.add_tokens([AddedToken(token, special=case.special, normalized=False) for token in case.tokens.split()])
    own = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": None} if rust.token_to_id("<s>") else {}
    return TextModel.load(folders.write_folder(folder, rust, config=own))


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def model(case: Case, tmp_path: Path) -> TextModel:
    return load(case, tmp_path)


def ask(model: TextModel, prefix: str = PREFIX, suffix: str = SUFFIX, **wishes: object) -> GenerationRequest:
    return GenerationRequest("r", TextPrompt(prefix, suffix), SamplingParams(**wishes))  # type: ignore[arg-type]


def prompt(model: TextModel, prefix: str = PREFIX, suffix: str = SUFFIX, **wishes: object) -> list[int]:
    return model.prepare(ask(model, prefix, suffix, **wishes), LOADED).prompt_ids


def test_the_prompt_is_in_the_models_own_form(case: Case, model: TextModel) -> None:
    parts = {
        "P": model.tokenizer.encode(PREFIX, add_special_tokens=False),
        "S": model.tokenizer.encode(SUFFIX, add_special_tokens=False),
    }
    if case.base is folders.llama:  # the space in front of a text is not put in front of what goes on
        assert parts["S"][0] == model.tokenizer.id_of("▁")
        del parts["S"][0]
    expected = [i for piece in case.prompt.split() for i in parts.get(piece, [model.tokenizer.id_of(piece)])]
    assert prompt(model) == expected
    assert prompt(model, add_special_tokens=False) == [i for i in expected if i != model.tokenizer.id_of("<s>")]


def test_no_token_is_read_in_what_a_person_wrote(case: Case, model: TextModel) -> None:
    names = f"{case.tokens} <|im_end|> </s>"
    markers = {model.tokenizer.id_of(token) for token in [*names.split(), "<s>"]} - {None}
    ids = prompt(model, prefix=f"a {names}", suffix=f"{names} z")
    outside = [model.tokenizer.id_of(piece) for piece in case.prompt.split() if piece not in ("P", "S")]
    assert [i for i in ids if i in markers] == outside
    text = model.tokenizer.decode(ids, skip_special_tokens=True)
    for token in names.split():
        assert "▁" in token or text.count(token) >= 2, token


def test_what_ends_the_middle_stops_it(case: Case, model: TextModel) -> None:
    wanted = {model.tokenizer.id_of(token) for token in (*case.ends.split(), *case.prompt.split())}
    wanted -= {None, model.tokenizer.id_of("<s>")} | {model.tokenizer.id_of(letter) for letter in "PS"}
    params = model.prepare(ask(model), LOADED).params
    assert set(params.stop_token_ids) == wanted | set(model.tokenizer.eos_token_ids)
    assert model.prepare(ask(model, ignore_eos=True), LOADED).params.stop_token_ids == ()
    plain = GenerationRequest("r", TextPrompt(PREFIX), SamplingParams())
    assert model.prepare(plain, LOADED).params.stop_token_ids == model.tokenizer.eos_token_ids


def test_either_side_of_the_gap_may_be_the_texts_end(case: Case, model: TextModel) -> None:
    """A gap at the start of a text has an empty prompt; an empty suffix asks for nothing."""
    assert len(prompt(model, prefix="")) == len(prompt(model)) - len(prompt(model, suffix="")) + _leading(model)
    assert prompt(model, suffix="") == model.tokenizer.encode(PREFIX, add_special_tokens=True)


def _leading(model: TextModel) -> int:
    return len(model.tokenizer.leading_ids)


def test_every_form_is_tested_and_none_hides_another(tmp_path: Path) -> None:
    found = set()
    for name, each in CASES.items():
        infill = load(each, tmp_path / name).infill
        assert infill is not None
        found.add(infill._form)
    assert found == set(FORMS)


def test_a_model_without_the_tokens_says_so(tmp_path: Path) -> None:
    model = TextModel.load(folders.write_folder(tmp_path))
    assert Infill.find(model.tokenizer) is None
    with pytest.raises(RequestError, match="no fill-in-the-middle tokens") as caught:
        prompt(model)
    assert (caught.value.param, caught.value.status) == ("suffix", 400)


@pytest.mark.parametrize("field", ["prompt", "suffix"])
def test_a_lone_surrogate_is_named_where_it_is(field: str, tmp_path: Path) -> None:
    model = load(CASES["qwen"], tmp_path)
    texts = {"prefix": "a", "suffix": "b"} | {"prefix" if field == "prompt" else "suffix": "\ud800"}
    with pytest.raises(RequestError, match="surrogate") as caught:
        prompt(model, **texts)
    assert caught.value.param == field


def test_a_cut_prompt_and_a_gap_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        prompt(load(CASES["qwen"], tmp_path), truncate_prompt_tokens=5)
    assert caught.value.param == "truncate_prompt_tokens"
