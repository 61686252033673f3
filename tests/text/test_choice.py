from __future__ import annotations

from portico.text.choice import ChoiceText
from portico.text.detokenizer import Vocabulary
from tests.text import folders

TOKENIZER = folders.byte_level()
VOCABULARY = Vocabulary(TOKENIZER, hidden=[2])


def choice(*stops: str) -> ChoiceText:
    return ChoiceText(VOCABULARY.detokenizer(), stops)


def ids(text: str) -> list[int]:
    return TOKENIZER.encode(text, add_special_tokens=False).ids


def test_text_comes_with_its_tokens_and_the_end_token_is_none() -> None:
    one = choice()
    assert one.feed(ids("Hello")) == ("Hello", None)
    assert one.feed([*ids(" world"), 2], "stop") == (" world", "stop")
    assert one.token_count == len(ids("Hello")) + len(ids(" world")) + 1
    assert not one.stopped_by_text


def test_what_is_held_for_a_stop_string_comes_at_the_end() -> None:
    one = choice("world peace")
    assert one.feed(ids("Hello, world")) == ("Hello, ", None)
    assert one.feed(ids("!"), "length") == ("world!", "length")


def test_a_stop_string_ends_the_choice_and_its_count() -> None:
    one = choice("is")
    text = ids("The capital of France is Paris")
    assert one.feed(text, "length") == ("The capital of France ", "stop")
    assert one.stopped_by_text
    assert one.token_count == len(ids("The capital of France is"))
    assert one.feed(ids(" more")) == ("", "stop")
    assert one.token_count == len(ids("The capital of France is"))


def test_an_end_without_tokens_flushes() -> None:
    one = choice("xyz")
    assert one.feed(ids("x")) == ("", None)
    assert one.feed([], "stop") == ("x", "stop")
