"""A bound that is wrong would refuse prompts that fit."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from portico.demo import demo_folder
from portico.errors import RequestError
from portico.protocol.request import ChatPrompt, Embed, GenerationRequest, TextPrompt
from portico.protocol.sampling import SamplingParams
from portico.text.least import LeastTokens
from portico.text.model import TextModel
from tests.server.fake_engine import LOADED
from tests.text import folders


def demo() -> Tokenizer:
    return Tokenizer.from_file(str(demo_folder() / "tokenizer.json"))


def composed(form: Callable[[], normalizers.Normalizer] = normalizers.NFC) -> Tokenizer:
    """As in Qwen."""
    tokenizer = folders.byte_level()
    tokenizer.normalizer = form()
    tokenizer.add_tokens([AddedToken("é́ ﬁ", normalized=True)])
    return tokenizer


def stripping() -> Tokenizer:
    """As in Phi-3: what marks a turn takes the white space around it."""
    tokenizer = folders.llama()
    tokenizer.add_tokens(
        [AddedToken("<|end|>", rstrip=True, normalized=False), AddedToken("<m>", lstrip=True, normalized=True)]
    )
    return tokenizer


def unknown(*, fuse: bool = False) -> Tokenizer:
    """One token for each character that it lacks, or for each run of them."""
    return Tokenizer(models.BPE({"<unk>": 0, "a": 1, "b": 2, "ab": 3}, [("a", "b")], unk_token="<unk>", fuse_unk=fuse))


BOUNDED: dict[str, Callable[[], Tokenizer]] = {
    "byte level": folders.byte_level,
    "demo": demo,
    "tiktoken": folders.tiktoken_file,
    "llama": folders.llama,
    "sentencepiece BPE": lambda: folders.sentence_piece(
        model_type="bpe", vocab_size=600, byte_fallback=True, remove_extra_whitespaces=False,
        normalization_rule_name="identity",
    ),
    "sentencepiece unigram": lambda: folders.sentence_piece(
        model_type="unigram", vocab_size=400, byte_fallback=True, remove_extra_whitespaces=False,
        normalization_rule_name="identity",
    ),
    "NFC": composed,
    "NFKC": lambda: composed(normalizers.NFKC),
    "NFD": lambda: composed(normalizers.NFD),
    "stripping": stripping,
    "unknown": unknown,
}  # fmt: skip


def removing(step: pre_tokenizers.PreTokenizer) -> Tokenizer:
    tokenizer = folders.byte_level()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([step, pre_tokenizers.ByteLevel(use_regex=False)])
    return tokenizer


def shrinking(step: normalizers.Normalizer) -> Tokenizer:
    tokenizer = folders.byte_level()
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), step])
    return tokenizer


def blind() -> Tokenizer:
    tokenizer = folders.byte_level()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|im_start|> <|im_end|>", special_tokens=[("<|im_start|>", 1), ("<|im_end|>", 2)]
    )
    return tokenizer


UNBOUNDED: dict[str, Callable[[], Tokenizer]] = {
    "SentencePiece that joins spaces": lambda: folders.sentence_piece(
        model_type="bpe", vocab_size=600, byte_fallback=True
    ),
    "SentencePiece that joins the unknown": lambda: folders.sentence_piece(
        model_type="unigram", vocab_size=200, remove_extra_whitespaces=False, normalization_rule_name="identity"
    ),
    "words": folders.word_piece,
    "joined unknown": lambda: unknown(fuse=True),
    "skipped unknown": folders.metaspace,
    "white space dropped": lambda: removing(pre_tokenizers.WhitespaceSplit()),
    "matches dropped": lambda: removing(pre_tokenizers.Split(Regex("x+"), "removed")),
    "white space stripped": lambda: shrinking(normalizers.Strip()),
    "expressions replaced": lambda: shrinking(normalizers.Replace(Regex(" {2,}"), " ")),
    "texts shortened": lambda: shrinking(normalizers.Replace("ab", "a")),
    "the text left out": blind,
}


@cache
def made(name: str) -> Tokenizer:
    return {**BOUNDED, **UNBOUNDED}[name]()


@cache
def bound(name: str) -> LeastTokens:
    least = LeastTokens.of(made(name))
    assert least is not None, name
    return least


@cache
def pieces(name: str) -> st.SearchStrategy[str]:
    """The vocabulary's own words above all: long tokens are what a bound can be wrong about."""
    tokenizer = made(name)
    words = [tokenizer.decode([token_id], skip_special_tokens=False) for token_id in range(tokenizer.get_vocab_size())]
    longest = sorted({*words, *tokenizer.get_vocab()} - {""}, key=len)[-40:]
    hard = ["<|end|>", "<m>", " ", "\n", "\u3000", "e\u0301", "\u212a", "\u1fef", "가", "界", "▁", "<0x41>", "ab" * 9]
    return st.sampled_from(longest) | st.sampled_from(hard) | st.text(max_size=6)


@pytest.mark.parametrize("name", BOUNDED)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_text_has_fewer_tokens(name: str, data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.tuples(pieces(name), st.integers(1, 60)), max_size=6))
    text = "".join(piece * times for piece, times in parts)
    assert bound(name).count(text) <= len(made(name).encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("name", BOUNDED)
def test_it_grows_with_the_text(name: str) -> None:
    for text in ("word ", "字", "12"):
        assert bound(name).count(text * 1000) > 2


@pytest.mark.parametrize("name", UNBOUNDED)
def test_forms_that_may_swallow_text_have_none(name: str) -> None:
    assert LeastTokens.of(made(name)) is None


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    return TextModel.load(folders.write_folder(tmp_path_factory.mktemp("model")))


LONG = "word " * 20_000
CHAT = ChatPrompt([{"role": "user", "content": LONG}])


def asked(prompt: TextPrompt | ChatPrompt, **sampling: int) -> GenerationRequest:
    return GenerationRequest("r", prompt, SamplingParams(**sampling))


@pytest.mark.parametrize("prompt", [TextPrompt(LONG), CHAT])
def test_a_prompt_that_is_far_too_long_is_refused_before_it_is_encoded(
    model: TextModel, prompt: TextPrompt | ChatPrompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = len(model.prompt_ids(asked(prompt), LOADED.vocab_size))

    def encode(*arguments: object, **options: object) -> list[int]:
        raise AssertionError("it was encoded")

    monkeypatch.setattr(type(model.tokenizer), "encode", encode)
    with pytest.raises(
        RequestError, match=r"context length is 256 tokens, but the prompt has at least \d+ tokens"
    ) as e:
        model.prepare(asked(prompt), LOADED)
    assert e.value.code == "context_length_exceeded"
    assert LOADED.max_model_len <= e.value.counts["prompt_tokens"] <= exact
    with pytest.raises(RequestError, match=r"prompt has at least \d+ tokens; this model takes at most 255") as e:
        model.prepare(GenerationRequest("r", prompt, SamplingParams(), embed=Embed()), LOADED)
    assert e.value.code == "context_length_exceeded"


def test_the_end_of_a_long_prompt_can_still_be_asked_for(model: TextModel) -> None:
    whole = model.prompt_ids(asked(TextPrompt(LONG)), LOADED.vocab_size)
    assert model.prepare(asked(TextPrompt(LONG), truncate_prompt_tokens=20), LOADED).prompt_ids == whole[-20:]


def test_a_prompt_that_the_bound_lets_pass_is_counted(model: TextModel, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"the prompt has \d+ tokens"):
        model.prepare(asked(TextPrompt("x y z " * 100)), LOADED)
