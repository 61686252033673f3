"""The templates of both series of Chinese-LLaMA-Alpaca, against what its demo writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico.config.compat import CompatName, TextHabits, text_habits
from portico.config.text import TextOptions
from portico.text.model import TextModel
from tests.text.folders import CHATML, llama, write_folder

SYSTEM = "<<SYS>>\nYou are a helpful assistant. 你是一个乐于助人的助手。\n<</SYS>>\n\n"
TALK = [
    {"role": "user", "content": "你好"},
    {"role": "assistant", "content": "您好"},
    {"role": "user", "content": "再见"},
]


def laid_out(folder: Path, name: str | None, talk: list[dict[str, str]]) -> str:
    return TextModel.load(folder, TextOptions(fallback_template=name)).template.render(talk)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    return write_folder(tmp_path_factory.mktemp("bare"), llama(), config=tokens, template=None)


def test_one_turn_and_more(bare: Path) -> None:
    begin = f"<s>[INST] {SYSTEM}你好 [/INST]"
    assert laid_out(bare, "chinese-alpaca-2", TALK[:1]) == begin
    assert laid_out(bare, "chinese-alpaca-2", TALK) == f"{begin} 您好 </s><s>[INST] 再见 [/INST]"


@pytest.mark.parametrize("written", ["Be brief.", "<<SYS>>\nBe brief.\n<</SYS>>\n\n"])
def test_a_system_message_takes_the_place_of_its_own(bare: Path, written: str) -> None:
    talk = [{"role": "system", "content": written}, *TALK[:1]]
    assert laid_out(bare, "chinese-alpaca-2", talk) == "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n你好 [/INST]"


def test_the_first_series_has_alpacas(bare: Path) -> None:
    assert "### Instruction:\n你好" in laid_out(bare, "alpaca", TALK[:1])


def test_a_template_of_the_models_own_comes_first(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, template=CHATML)
    assert laid_out(folder, "chinese-alpaca-2", TALK[:1]).startswith("<|im_start|>user")


@pytest.mark.parametrize(
    ("compat", "name", "template"),
    [
        ("alpaca", "chinese-llama-alpaca-2", "chinese-alpaca-2"),
        ("alpaca", "Chinese-Alpaca-2-7B", "chinese-alpaca-2"),
        ("alpaca", "my-model", "chinese-alpaca-2"),
        ("alpaca", "chinese-llama-alpaca", "alpaca"),
        ("alpaca", "chinese-alpaca-plus-7b", "alpaca"),
    ],
)
def test_the_served_name_says_which(compat: CompatName, name: str, template: str) -> None:
    assert text_habits(compat, (name,)) == TextHabits(template, "mean")
    assert text_habits("none", (name,)) == TextHabits()
