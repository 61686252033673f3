"""Prompts of wanted lengths, and from files."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from portico.client.bench.files import read_prompts
from portico.client.bench.words import COMMON, learn


async def test_words_of_one_token_make_exact_lengths() -> None:
    """A tokenizer with a token in front of each text, for which long words are two."""

    async def count(text: str) -> int:
        return 1 + sum(1 if len(word) < 5 else 2 for word in text.split())

    words = await learn(count)
    assert words.exact
    assert set(words.words) == {word for word in COMMON if len(word) < 5}
    for tokens in (2, 7, 300):
        assert await count(words.text(tokens, random.Random(tokens))) == tokens


async def test_else_lengths_are_right_on_average() -> None:
    async def count(text: str) -> int:
        return 3 + sum(len(word) for word in text.split())

    words = await learn(count)
    assert not words.exact
    rng = random.Random(0)
    found = [await count(words.text(200, rng)) for _ in range(50)]
    assert sum(found) / 50 == pytest.approx(200, rel=0.03)


def test_every_form_of_a_file_is_read(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "hi"}]
    said = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}, {"from": "human", "value": "c"}]
    items = ["one", {"prompt": "two", "output_len": 5}, {"messages": chat}, {"conversations": said}]
    lines, whole = tmp_path / "a.jsonl", tmp_path / "a.json"
    lines.write_text("\n\n".join(json.dumps(item) for item in items), encoding="utf-8")
    whole.write_text(json.dumps(items))
    for path in (lines, whole):
        read = [[(turn.said, turn.max_tokens) for turn in turns] for turns in read_prompts(path, 9, turns=2)]
        assert read == [[("one", 9)], [("two", 5)], [(chat, 9)], [("a", 9), ("c", 9)]]
    assert [len(turns) for turns in read_prompts(lines, 9)] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"a"\n{oops', "line 2: not JSON"),
        ("[1]", "item 0: 1 is no prompt"),
        ('{"text": "a"}', "line 1: there is no prompt"),
        ('{"prompt": "a", "max_tokens": 0}', "the length of the answer is 0"),
        ("", "there is no prompt in it"),
        ("[", "not JSON"),
    ],
)
def test_a_file_that_is_wrong_says_where(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        read_prompts(path, 9)
