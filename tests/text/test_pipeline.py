from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from portico.errors import EngineError, RequestError
from portico.protocol.events import Failure, Finish, GenerationEvent, TextDelta, Usage
from portico.protocol.messages import Add, Loaded, TokenEvent
from portico.protocol.request import ChatPrompt, GenerationRequest, Prompt, TextPrompt, TokenPrompt
from portico.protocol.sampling import SamplingParams
from portico.text import pipeline as pipeline_module
from portico.text.model import TextModel
from portico.text.pipeline import Pipeline
from tests.server.fake_engine import FakeEngine, Gate, Script, say
from tests.text import folders
from tests.text.folders import write_folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    return TextModel.load(write_folder(tmp_path_factory.mktemp("model")))


def request(prompt: Prompt | str = "Hello", **sampling: Any) -> GenerationRequest:
    return GenerationRequest(
        "r1", TextPrompt(prompt) if isinstance(prompt, str) else prompt, SamplingParams(**sampling)
    )


async def events_of(
    model: TextModel, script: Script, asked: GenerationRequest
) -> tuple[list[GenerationEvent], FakeEngine]:
    engine = FakeEngine(script)
    return [event async for event in Pipeline(model, engine).generate(asked)], engine


def ids(model: TextModel, text: str) -> list[int]:
    return model.tokenizer.encode(text, add_special_tokens=False)


def text_of(events: list[GenerationEvent], choice: int = 0) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta) and event.choice == choice)


async def test_text_finish_and_usage_come_in_order(model: TextModel) -> None:
    answer = ids(model, "It is 东京 😀.")
    events, engine = await events_of(model, say([*answer, 2]), request())
    assert text_of(events) == "It is 东京 😀."
    assert events[-2:] == [Finish(0, "stop"), Usage(len(ids(model, "Hello")), len(answer) + 1, 0)]
    assert sum(event.token_count for event in events if isinstance(event, TextDelta)) == len(answer)
    assert engine.cancelled == []


async def test_several_tokens_may_come_in_one_list(model: TextModel) -> None:
    answer = ids(model, "It is 东京 😀.")
    events, _ = await events_of(model, say(answer, "length", per_step=4), request())
    assert text_of(events) == "It is 东京 😀."
    assert Finish(0, "length") in events


async def test_a_stop_string_cancels_its_choice_alone(model: TextModel) -> None:
    def script(add: Add) -> Any:
        for first, second in zip(ids(model, "one stop here"), ids(model, "two goes on"), strict=False):
            yield [TokenEvent("r1", 0, [first]), TokenEvent("r1", 1, [second])]
        yield [TokenEvent("r1", 1, ids(model, "two goes on")[len(ids(model, "one stop here")) :], "length")]

    events, engine = await events_of(model, script, request(n=2, stop=("stop",)))
    assert text_of(events, 0) == "one "
    assert Finish(0, "stop", "stop") in events
    assert Finish(1, "length") in events
    assert engine.cancelled == [("r1", 0)]
    assert isinstance(events[-1], Usage)


async def test_cached_tokens_are_reported(model: TextModel) -> None:
    def script(add: Add) -> Any:
        yield [TokenEvent("r1", 0, [10], None, cached_tokens=16)]
        yield [TokenEvent("r1", 0, [11], "length")]

    events, _ = await events_of(model, script, request())
    assert events[-1] == Usage(len(ids(model, "Hello")), 2, 16)


async def test_an_error_of_the_engine_is_the_last_event(model: TextModel) -> None:
    def script(add: Add) -> Any:
        yield [TokenEvent("r1", 0, [10])]
        yield [TokenEvent("r1", 0, [], "error", error="out of blocks"), TokenEvent("r1", 1, [11])]

    events, engine = await events_of(model, script, request(n=2))
    assert isinstance(events[-1], Failure)
    assert events[-1].error.message == "out of blocks"
    assert [type(event) for event in events].count(Failure) == 1
    assert ("r1", None) in engine.cancelled


async def test_an_engine_that_dies_or_leaves_off_is_a_failure(model: TextModel) -> None:
    dead = EngineError("gone", status=503)
    events, _ = await events_of(model, lambda add: [[TokenEvent("r1", 0, [10])], dead], request())
    assert events[-1] == Failure(dead)
    events, _ = await events_of(model, lambda add: [[TokenEvent("r1", 0, [10])]], request())
    assert isinstance(events[-1], Failure)


async def test_closing_the_generator_cancels_in_the_engine(model: TextModel) -> None:
    gate = Gate()
    engine = FakeEngine(lambda add: [[TokenEvent("r1", 0, ids(model, "word"))], gate])
    async with aclosing(Pipeline(model, engine).generate(request())) as events:
        async for _ in events:
            break
    assert engine.cancelled == [("r1", None)]


async def test_cancelling_the_consumer_cancels_in_the_engine(model: TextModel) -> None:
    gate = Gate()
    engine = FakeEngine(lambda add: [gate])

    async def consume() -> None:
        async with aclosing(Pipeline(model, engine).generate(request())) as events:
            async for _ in events:
                pass

    task = asyncio.create_task(consume())
    await asyncio.to_thread(gate.reached.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.cancelled == [("r1", None)]


async def test_long_prompts_leave_the_event_loop_alone(model: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[bool] = []
    plain = TextModel.prepare

    def spy(self: TextModel, asked: GenerationRequest, limits: Loaded) -> Add:
        used.append(threading.current_thread() is threading.main_thread())
        return plain(self, asked, limits)

    monkeypatch.setattr(TextModel, "prepare", spy)
    monkeypatch.setattr(pipeline_module, "THREAD_FROM_CHARACTERS", 100)
    for prompt in ("x" * 99, "x" * 100):
        await events_of(model, say([10]), request(prompt))
    chat = ChatPrompt([{"role": "user", "content": "x" * 100}])
    await events_of(model, say([10]), request(chat))
    assert used == [True, False, False]


@pytest.mark.parametrize(
    ("prompt", "sampling", "param"),
    [
        ("", {}, "prompt"),
        (TokenPrompt([]), {}, "prompt"),
        (TokenPrompt([1, 402]), {}, "prompt.1"),
        (TokenPrompt([1, 2, -1]), {}, "prompt.2"),
        ("ok", {"temperature": 5.0}, "temperature"),
        ("ok", {"stop": ("",)}, "stop"),
        ("ok", {"max_tokens": 4000}, "max_tokens"),
        (TokenPrompt([1] * 256), {}, "prompt"),
    ],
)
async def test_what_cannot_be_honoured_never_reaches_the_engine(model, prompt, sampling, param) -> None:
    engine = FakeEngine()
    with pytest.raises(RequestError) as caught:
        await Pipeline(model, engine).prepare(request(prompt, **sampling))
    assert (caught.value.param, caught.value.status) == (param, 400)
    assert engine.added == []


async def test_a_chat_prompt_gets_no_second_bos(model: TextModel) -> None:
    prompt = ChatPrompt([{"role": "user", "content": "hi"}])
    prepared = await Pipeline(model, FakeEngine()).prepare(request(prompt))
    expected = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert prepared.add.prompt_ids == ids(model, expected)


async def test_a_prompt_is_cut_from_its_start_when_asked(model: TextModel) -> None:
    whole = ids(model, "The capital of France is Paris. " * 30)
    assert len(whole) > 256
    for sampling, kept in (
        ({"truncate_prompt_tokens": 7}, 7),
        ({"truncate_prompt_tokens": 9999, "max_tokens": 1}, None),
        ({"truncate_prompt_tokens": -1, "max_tokens": 16}, 256 - 16),
    ):
        asked = request(TokenPrompt(whole), **sampling)
        if kept is None:
            with pytest.raises(RequestError, match="context length"):
                await Pipeline(model, FakeEngine()).prepare(asked)
        else:
            prepared = await Pipeline(model, FakeEngine()).prepare(asked)
            assert prepared.add.prompt_ids == whole[-kept:]


async def test_an_echo_comes_before_every_choice(model: TextModel) -> None:
    asked = GenerationRequest("r1", TextPrompt("Hello"), SamplingParams(n=2), echo=True)
    events, _ = await events_of(model, say(ids(model, " world")), asked)
    assert text_of(events, 0) == text_of(events, 1) == "Hello world"
    assert events[-1] == Usage(len(ids(model, "Hello")), 2 * len(ids(model, " world")), 0)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [(TextPrompt("The"), " is"), (TokenPrompt([5]), " is"), (ChatPrompt([{"role": "user", "content": "The"}]), "is")],
)
async def test_what_goes_on_keeps_its_space_and_what_begins_does_not(prompt: Prompt, text: str, tmp_path: Path) -> None:
    own = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": None}
    llama = TextModel.load(write_folder(tmp_path, folders.llama(), config=own))
    spaced = llama.tokenizer.encode("is", add_special_tokens=False)
    assert llama.tokenizer.bytes_of(spaced[0]) == b" is"
    events, _ = await events_of(llama, say(spaced), request(prompt))
    assert text_of(events) == text


@pytest.mark.parametrize(("spaces", "text"), [(True, "[SEP] [SEP]"), (False, "[SEP][SEP]")])
async def test_spaces_between_special_tokens_go_when_asked(spaces: bool, text: str, tmp_path: Path) -> None:
    own = {"eos_token": None, "pad_token": None}
    bert = TextModel.load(write_folder(tmp_path, folders.word_piece(), config=own))
    separator = bert.tokenizer.id_of("[SEP]")
    asked = request("Paris", skip_special_tokens=False, spaces_between_special_tokens=spaces)
    events, _ = await events_of(bert, say([separator, separator], "length"), asked)
    assert text_of(events) == text


async def test_a_bad_word_is_its_tokens_with_and_without_a_space(model: TextModel) -> None:
    prepared = await Pipeline(model, FakeEngine()).prepare(request(bad_words=("Paris",), stop_token_ids=(9, 2)))
    bare, spaced = ids(model, "Paris"), ids(model, " Paris")
    expected = [bare, spaced] if len(bare) == len(spaced) else [bare]
    assert [list(word) for word in prepared.add.params.bad_words] == expected
    assert set(prepared.add.params.stop_token_ids) == {*model.tokenizer.eos_token_ids, 9, 2}


async def test_while_the_engine_loads_requests_are_refused(model: TextModel) -> None:
    with pytest.raises(EngineError) as caught:
        await Pipeline(model, FakeEngine(limits=None)).prepare(request())
    assert caught.value.status == 503


def test_the_front_imports_neither_torch_nor_transformers() -> None:
    code = "import sys, portico.text.pipeline, portico.server.app, portico.server.serve; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert not {"torch", "transformers", "numpy"} & set(result.stdout.split())
