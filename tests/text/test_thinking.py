from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.errors import ConfigError
from portico.text.thinking import BY_NAME, ThinkingFormat, ThinkingReader, choose
from portico.text.tools.source import SPACES

each = pytest.mark.parametrize("form", BY_NAME.values(), ids=BY_NAME)
cuts = st.lists(st.integers(1, 80), max_size=20)


def read(form: ThinkingFormat, text: str, cuts: list[int] | range, *, inside: bool) -> tuple[str, str]:
    reader = ThinkingReader(form, inside=inside)
    places = [0, *sorted({cut for cut in cuts if 0 < cut < len(text)}), len(text)]
    parts = [*(reader.push(text[start:end]) for start, end in pairwise(places)), reader.end()]
    return "".join(thought for thought, _ in parts), "".join(said for _, said in parts)


@each
@settings(max_examples=150, deadline=None)
@given(data=st.data(), cuts=cuts, inside=st.booleans())
def test_any_split_of_any_text_adds_up_to_the_same(
    form: ThinkingFormat, data: st.DataObject, cuts: list[int], inside: bool
) -> None:
    bits = st.sampled_from([*form.begins, *form.ends, " ", "\n", "<", "Here is", "[/TH", "think"]) | st.text(max_size=4)
    text = data.draw(st.lists(bits, max_size=8).map("".join))
    whole = read(form, text, [], inside=inside)
    assert read(form, text, cuts, inside=inside) == whole
    assert read(form, text, range(len(text)), inside=inside) == whole
    if not inside and not text.lstrip(SPACES).startswith(form.begins):
        assert whole == ("", text)


@each
@given(thought=st.text("abc <\n"), said=st.text("abc <\n"), inside=st.booleans())
def test_thinking_comes_apart_from_the_answer(form: ThinkingFormat, thought: str, said: str, inside: bool) -> None:
    begin = "" if inside else form.begins[-1]
    text = f"{begin}\n{thought}\n{form.ends[-1]}\n\n{said}"
    assert read(form, text, range(len(text)), inside=inside) == (thought.strip(SPACES), said.lstrip(SPACES))


@each
def test_thinking_comes_while_it_is_thought(form: ThinkingFormat) -> None:
    reader = ThinkingReader(form, inside=True)
    assert sum(bool(reader.push(character)[0]) for character in "one two three") == 11
    assert not reader.over


@each
def test_thinking_that_is_cut_short_is_thinking(form: ThinkingFormat) -> None:
    assert read(form, form.begins[0] + " because", [3], inside=False) == ("because", "")


@pytest.mark.parametrize(
    ("prompt", "is_open", "is_over"),
    [
        ("<|im_start|>assistant\n", False, False),
        ("<|im_start|>assistant\n<think>\n", True, False),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", False, True),
        ("What does <think> mean?<|im_end|>", False, False),
    ],
)
def test_the_prompt_says_where_an_answer_begins(prompt: str, is_open: bool, is_over: bool) -> None:
    assert (BY_NAME["qwen3"].is_open(prompt), BY_NAME["qwen3"].is_over(prompt)) == (is_open, is_over)
    assert BY_NAME["deepseek_r1"].is_open(prompt) is not is_over


def test_parsers_by_name_and_by_template(tmp_path: Path) -> None:
    assert choose("auto", ["{{ '<think>\\n\\n</think>\\n\\n' }}"]) is BY_NAME["qwen3"]
    assert choose("auto", ["{{ messages }}"]) is None
    assert choose("none", ["</think>"]) is None
    assert choose("glm45", []) is BY_NAME["qwen3"]
    file = tmp_path / "mine.py"
    file.write_text(
        "from portico.text.thinking import ThinkingFormat\nMINE = ThinkingFormat('mine', ('(',), (')',))\nNOT = 5\n"
    )
    mine = choose(f"{file}:MINE", [])
    assert mine is not None
    assert read(mine, "(a)b", [1], inside=False) == ("a", "b")
    for name, words in (
        (f"{file}:NOT", "ThinkingFormat"),
        (f"{file}:NONE", "NONE"),
        ("no.such:X", "no"),
        ("x", "qwen3"),
    ):
        with pytest.raises(ConfigError, match=words) as caught:
            choose(name, [])
        assert "--reasoning-parser" in str(caught.value)
