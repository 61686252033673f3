"""The official client against the bundled model: real answers, streamed and not, one and many."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from tokenizers import Tokenizer

from portico.demo import demo_folder
from tests.e2e.serving import Server

GREEDY = {"temperature": 0}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(demo_folder() / "tokenizer.json"))


@pytest.fixture
def client(demo: Server) -> OpenAI:
    return OpenAI(base_url=f"{demo.url}/v1", api_key="unused")


def ask(client: OpenAI, *messages: tuple[str, str]) -> str:
    answer = client.chat.completions.create(
        model="portico-demo",
        messages=[{"role": role, "content": content} for role, content in messages],  # type: ignore[misc]
        temperature=0,
    )
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content is not None
    return answer.choices[0].message.content


def test_it_says_who_it_is(client: OpenAI) -> None:
    assert "Portico" in ask(client, ("user", "Who are you?"))


def test_it_knows_a_capital_in_chinese(client: OpenAI) -> None:
    assert ask(client, ("user", "告诉我中国的首都在哪里")) == "中国的首都是北京。"


def test_it_remembers_a_name_through_five_turns(client: OpenAI) -> None:
    talk: list[tuple[str, str]] = []
    for question in (
        "My name is Marco.",
        "What is the capital of France?",
        "What is 12 + 30?",
        "Hello! How are you?",
        "What is my name?",
    ):
        talk.append(("user", question))
        talk.append(("assistant", ask(client, *talk)))
    assert "Marco" in talk[-1][1]
    assert "Paris" in talk[3][1]
    assert "42" in talk[5][1]


def test_streamed_and_whole_are_the_same(client: OpenAI) -> None:
    question = [{"role": "user", "content": "Write a haiku about apples."}]
    whole = client.chat.completions.create(model="portico-demo", messages=question, temperature=0)  # type: ignore[arg-type]
    stream = client.chat.completions.create(
        model="portico-demo",
        messages=question,  # type: ignore[arg-type]
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert "apples" in text
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert chunks[-1].usage.prompt_tokens_details is not None
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens == 16 * ((whole.usage.prompt_tokens - 1) // 16)


async def test_many_at_once_say_what_each_says_alone(demo: Server) -> None:
    client = AsyncOpenAI(base_url=f"{demo.url}/v1", api_key="unused")
    questions = [f"What is {a} + {b}?" for a in range(11, 19) for b in (23, 48, 71)]

    async def answer(question: str, seed: int) -> str | None:
        done = await client.chat.completions.create(
            model="portico-demo",
            messages=[{"role": "user", "content": question}],
            temperature=1.0 if seed % 2 else 0.0,
            seed=seed,
        )
        return done.choices[0].message.content

    together = await asyncio.gather(*(answer(q, i) for i, q in enumerate(questions)))
    alone = [await answer(q, i) for i, q in enumerate(questions)]
    assert together == alone


def test_choices_differ_and_a_seed_repeats_them(client: OpenAI) -> None:
    def draw() -> list[str | None]:
        answer = client.chat.completions.create(
            model="portico-demo",
            messages=[{"role": "user", "content": "Write a haiku about rain."}],
            temperature=1.5,
            seed=7,
            n=4,
        )
        return [choice.message.content for choice in answer.choices]

    first = draw()
    assert len(set(first)) > 1
    assert draw() == first


def test_completions_of_text_and_tokens(client: OpenAI) -> None:
    done = client.completions.create(
        model="portico-demo",
        prompt=["The capital of France is", "告诉我中国的首都在哪里"],
        max_tokens=20,
        temperature=0,
    )
    assert [choice.index for choice in done.choices] == [0, 1]
    assert "Paris" in done.choices[0].text
    assert "北京" in done.choices[1].text


def raw(client: OpenAI, **extra: object) -> str:
    done = client.completions.create(
        model="portico-demo", prompt="The capital of France is", max_tokens=12, temperature=0, extra_body=extra
    )
    return done.choices[0].text


def test_what_a_request_can_ask_of_tokens(client: OpenAI, tokenizer: Tokenizer) -> None:
    plain = raw(client)
    assert plain == " Paris."
    known = len(tokenizer.encode("The capital of France is").ids)
    tokens = tokenizer.encode(f"The capital of France is{plain}").ids[known:]
    at = next(i for i, token in enumerate(tokens) if "Paris" in tokenizer.decode([token]))
    assert raw(client, echo=True) == "The capital of France is Paris."
    assert "Paris" not in raw(client, bad_words=["Paris"])
    assert "Paris" not in raw(client, logit_bias={str(tokens[at]): -100})
    assert raw(client, stop_token_ids=[tokens[at]]) == tokenizer.decode(tokens[:at])
    shown = raw(client, stop_token_ids=[tokens[at]], include_stop_str_in_output=True)
    assert shown == tokenizer.decode(tokens[: at + 1])
    assert raw(client, stop=["Par"], include_stop_str_in_output=True) == " Par"
    assert set(tokenizer.encode(raw(client, allowed_token_ids=tokens)).ids) <= set(tokens)
    assert len(raw(client, min_tokens=12)) > len(plain)
    last = tokenizer.decode(tokenizer.encode("The capital of France is").ids[-1:])
    assert raw(client, truncate_prompt_tokens=1, echo=True).startswith(last)


def test_chat_logprobs_whole_and_streamed(client: OpenAI) -> None:
    question: Any = [{"role": "user", "content": "告诉我中国的首都在哪里"}]
    asked: Any = {"model": "portico-demo", "messages": question, "temperature": 0, "logprobs": True, "top_logprobs": 3}
    choice = client.chat.completions.create(**asked).choices[0]
    assert choice.logprobs is not None
    content = choice.logprobs.content
    assert content is not None
    assert b"".join(bytes(entry.bytes or []) for entry in content).decode() == choice.message.content
    for entry in content:
        assert len(entry.top_logprobs) == 3
        assert entry.top_logprobs[0].logprob == entry.logprob <= 0  # greedy
    streamed = []
    for chunk in client.chat.completions.create(**asked, stream=True):
        if chunk.choices and chunk.choices[0].logprobs is not None:
            streamed += chunk.choices[0].logprobs.content or []
    assert streamed == content


def test_completion_logprobs_and_offsets(client: OpenAI) -> None:
    asked: Any = {"model": "portico-demo", "prompt": ["The capital of France is"], "temperature": 0, "max_tokens": 8}
    choice = client.completions.create(**asked, logprobs=2).choices[0]
    told = choice.logprobs
    assert told is not None
    assert told.tokens is not None
    assert told.text_offset is not None
    assert "".join(told.tokens[:-1]) == choice.text
    assert told.tokens[-1] == "<|endoftext|>"
    assert told.text_offset[-1] == len(choice.text)
    for token, offset in zip(told.tokens[:-1], told.text_offset, strict=False):
        assert choice.text[offset:].startswith(token)
    for token, logprob, top in zip(told.tokens, told.token_logprobs or [], told.top_logprobs or [], strict=True):
        assert top[token] == logprob == max(top.values())
        assert len(top) == 2
    streamed: list[int] = []
    for chunk in client.completions.create(**asked, logprobs=2, stream=True):
        if chunk.choices[0].logprobs is not None:
            streamed += chunk.choices[0].logprobs.text_offset or []
    assert streamed == told.text_offset
    named = client.completions.create(**asked, logprobs=0, extra_body={"return_tokens_as_token_ids": True})
    assert named.choices[0].logprobs is not None
    assert all(token.startswith("token_id:") for token in named.choices[0].logprobs.tokens or [])


def test_a_prompt_is_scored_as_evaluation_harnesses_ask(client: OpenAI, tokenizer: Tokenizer) -> None:
    prompt = "The capital of France is Paris."
    ids = tokenizer.encode(prompt).ids
    asked: Any = {"model": "portico-demo", "prompt": [ids], "temperature": 0, "echo": True, "logprobs": 1}
    told = client.completions.create(**asked, max_tokens=1).choices[0].logprobs
    assert told is not None
    assert told.token_logprobs is not None
    assert len(told.token_logprobs) == len(told.tokens or []) == len(ids) + 1
    assert told.token_logprobs[0] is None
    assert "".join(told.tokens or []).startswith(prompt)
    paris = next(i for i, token in enumerate(ids) if "Paris" in tokenizer.decode([token]))
    assert told.token_logprobs[paris] > -1
    only = client.completions.create(**asked, max_tokens=0).choices[0]
    assert only.text == prompt
    assert only.finish_reason == "length"
    assert only.logprobs is not None
    assert only.logprobs.token_logprobs == told.token_logprobs[:-1]
    assert (
        client.completions.create(model="portico-demo", prompt=prompt, echo=True, max_tokens=0).choices[0].text
        == prompt
    )


def test_prompt_logprobs_as_vllm_writes_them(client: OpenAI, tokenizer: Tokenizer) -> None:
    prompts = ["The capital of France is", "告诉我中国的首都在哪里"]
    done = client.completions.create(
        model="portico-demo", prompt=prompts, n=2, max_tokens=2, extra_body={"prompt_logprobs": 2}
    )
    for choice in done.choices:
        entries = choice.model_extra["prompt_logprobs"]  # type: ignore[index]
        ids = tokenizer.encode(prompts[choice.index // 2]).ids
        assert entries[0] is None
        for token_id, entry in zip(ids[1:], entries[1:], strict=True):
            assert entry[str(token_id)]["logprob"] <= 0
            assert len(entry) == (2 if entry[str(token_id)]["rank"] <= 2 else 3)
            assert {1, 2} <= {value["rank"] for value in entry.values()}
    chat = client.chat.completions.create(
        model="portico-demo",
        messages=[{"role": "user", "content": "Hello!"}],
        extra_body={"prompt_logprobs": 0},
    )
    assert len(chat.model_extra["prompt_logprobs"]) == chat.usage.prompt_tokens  # type: ignore[index,union-attr]


def test_the_best_of_several_answers(client: OpenAI) -> None:
    asked: Any = {"model": "portico-demo", "prompt": "Write a haiku", "temperature": 1.5, "seed": 3, "max_tokens": 40}
    drawn = client.completions.create(**asked, n=5, logprobs=0)
    means = {}
    for choice in drawn.choices:
        assert choice.logprobs is not None
        values = [value for value in choice.logprobs.token_logprobs or [] if value is not None]
        means[choice.text] = sum(values) / len(values)
    best = client.completions.create(**asked, n=2, best_of=5)
    assert [choice.text for choice in best.choices] == sorted(means, key=lambda text: -means[text])[:2]
    assert [choice.index for choice in best.choices] == [0, 1]
    assert all(choice.logprobs is None for choice in best.choices)
    assert best.usage == drawn.usage


def total_logprob(choice: Any) -> float:
    return sum(value for value in choice.logprobs.token_logprobs if value is not None)


def test_beam_search_finds_the_likeliest_answers(client: OpenAI) -> None:
    asked: Any = {"model": "portico-demo", "prompt": "Write a haiku about", "max_tokens": 12, "logprobs": 2}
    beams = {"use_beam_search": True, "num_beams": 5, "length_penalty": 0}
    found = client.completions.create(**asked, n=3, extra_body=beams)
    sums = [total_logprob(choice) for choice in found.choices]
    assert len({choice.text for choice in found.choices}) == 3
    assert sums == sorted(sums, reverse=True)
    greedy = client.completions.create(**asked, temperature=0)
    assert sums[0] >= total_logprob(greedy.choices[0]) - 1e-4
    assert found.usage is not None
    assert found.usage.completion_tokens == sum(len(c.logprobs.tokens or []) for c in found.choices if c.logprobs)
    best = client.completions.create(**asked, best_of=5, extra_body={"use_beam_search": True})
    streamed = client.completions.create(**asked, best_of=5, stream=True, extra_body={"use_beam_search": True})
    assert best.choices[0].text == "".join(chunk.choices[0].text for chunk in streamed)


def test_an_answer_that_no_token_may_begin_ends_with_a_clear_error(client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError, match="No token is left"):
        raw(client, allowed_token_ids=[5], logit_bias={}, bad_words=["ignored"], stop_token_ids=[5], min_tokens=2)
    assert raw(client) == " Paris."


@pytest.mark.parametrize(
    ("wrong", "param", "words"),
    [
        ({"temperature": 3}, "temperature", "at most 2"),
        ({"max_tokens": 100_000}, "max_tokens", "4096"),
        ({"extra_body": {"guided_json": {"if": {}}}}, "guided_json", '"if"'),
        ({"extra_body": {"num_beams": 4, "best_of": 3}}, "best_of", "num_beams"),
        ({"extra_body": {"num_beams": 64}}, "num_beams", "blocks"),
        ({"extra_body": {"length_penalty": 2.0}}, "length_penalty", "beam search"),
        ({"extra_body": {"kv_transfer_params": {"a": 1}}}, "kv_transfer_params", "not supported"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "20"),
    ],
)
def test_errors_name_the_field(client: OpenAI, wrong: dict[str, object], param: str, words: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            model="portico-demo",
            messages=[{"role": "user", "content": "Hello!"}],
            **wrong,  # type: ignore[arg-type]
        )
    assert caught.value.param == param
    assert words in caught.value.message


def test_an_unknown_model_is_404(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="portico-demo"):
        client.chat.completions.create(model="gpt-9", messages=[{"role": "user", "content": "Hello!"}])
