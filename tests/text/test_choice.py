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
    assert one.stop_string is None


def test_what_is_held_for_a_stop_string_comes_at_the_end() -> None:
    one = choice("world peace")
    assert one.feed(ids("Hello, world")) == ("Hello, ", None)
    assert one.feed(ids("!"), "length") == ("world!", "length")


def test_a_stop_string_ends_the_choice_and_its_count() -> None:
    one = choice("is")
    text = ids("The capital of France is Paris")
    assert one.feed(text, "length") == ("The capital of France ", "stop")
    assert one.stop_string == "is"
    assert one.token_count == len(ids("The capital of France is"))
    assert one.feed(ids(" more")) == ("", "stop")
    assert one.token_count == len(ids("The capital of France is"))


def test_an_end_without_tokens_flushes() -> None:
    one = choice("xyz")
    assert one.feed(ids("x")) == ("", None)
    assert one.feed([], "stop") == ("x", "stop")


def test_a_stop_string_may_be_part_of_the_answer() -> None:
    one = ChoiceText(VOCABULARY.detokenizer(), ["is"], include_stop=True)
    assert one.feed(ids("The capital of France is Paris")) == ("The capital of France is", "stop")


def test_a_stop_tokens_text_is_left_out_unless_it_is_asked_for() -> None:
    *before, last = ids("Hello, world")
    text = TOKENIZER.decode([last])
    assert text
    for include, end in ((False, ""), (True, text)):
        one = ChoiceText(VOCABULARY.detokenizer(), include_stop=include)
        assert one.feed([*before, last], "stop") == (TOKENIZER.decode(before) + end, "stop")
        assert one.token_count == len(before) + 1


def test_stop_strings_are_not_looked_for_in_the_first_tokens() -> None:
    words = ids("The capital of France is Paris. The capital is Tokyo")
    first = len(ids("The capital of France is"))
    one = ChoiceText(VOCABULARY.detokenizer(), ["is"], min_tokens=first)
    assert one.feed(words) == ("The capital of France is Par", "stop")


def test_special_tokens_are_shown_when_they_are_not_skipped() -> None:
    for skip, text in ((True, "Hello"), (False, "Hello<|im_start|>")):
        one = ChoiceText(VOCABULARY.detokenizer(skip_special_tokens=skip))
        assert one.feed([*ids("Hello"), 1]) == (text, None)
