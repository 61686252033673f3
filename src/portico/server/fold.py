"""Many events into one: the answer of a request that does not stream, and several prompts as one request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from portico.protocol.events import (
    Embedding,
    Failure,
    Finish,
    GenerationEvent,
    PromptScores,
    ReasoningDelta,
    TextDelta,
    TokenInfo,
    ToolCallDelta,
    Usage,
)
from portico.protocol.request import GenerationRequest
from portico.text.best import likeliest
from portico.text.pipeline import Pipeline, Prepared
from portico.text.whole import WholeChoice

QUEUED_EVENTS = 256


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything a request gave."""

    choices: list[WholeChoice]
    prompts: dict[int, Sequence[TokenInfo]]
    """The scored tokens of a prompt, by the first of its choices."""
    usage: Usage


class Progress:
    """How far the answers of several prompts are that run as one request."""

    def __init__(self, prepared: Sequence[Prepared]) -> None:
        self._prompts = [item.add.prompt_ids for item in prepared for _ in item.choices]
        self._answers = [choice for item in prepared for choice in item.choices]
        self._prompt_tokens = sum(len(item.add.prompt_ids) for item in prepared)
        self._told: dict[int, int] = {}

    def prompt_ids(self, choice: int) -> Sequence[int]:
        """The tokens that the model read."""
        return self._prompts[choice]

    def token_ids(self, choice: int) -> Sequence[int]:
        """Those of the answer so far."""
        return self._answers[choice].token_ids

    def is_new(self, choice: int) -> bool:
        """Whether nothing of this choice was asked by `new_ids` yet."""
        return choice not in self._told

    def new_ids(self, choice: int) -> Sequence[int]:
        """Those that came since this was asked before."""
        told = self._told.get(choice, 0)
        self._told[choice] = self._answers[choice].token_count
        return self.token_ids(choice)[told:]

    def usage(self) -> Usage:
        """What the answers have cost so far."""
        return Usage(self._prompt_tokens, sum(answer.token_count for answer in self._answers), 0)


async def fold(events: AsyncGenerator[GenerationEvent, None], choices: int) -> Answer:
    """Read all events of a request with this many choices; raises the error of a Failure."""
    given = [WholeChoice() for _ in range(choices)]
    prompts: dict[int, Sequence[TokenInfo]] = {}
    usage = Usage(0, 0, 0)
    async with aclosing(events):
        async for event in events:
            match event:
                case TextDelta(choice) | ReasoningDelta(choice) | ToolCallDelta(choice):
                    given[choice].add(event)
                case PromptScores(choice, infos):
                    prompts[choice] = infos
                case Finish(choice, reason):
                    given[choice].reason = reason
                case Usage():
                    usage = event
                case Failure(error):
                    raise error
    return Answer(given, prompts, usage)


async def fold_embeddings(events: AsyncGenerator[GenerationEvent, None]) -> tuple[list[Sequence[float]], Usage]:
    """The vectors of a request that asks for them, in the order of its prompts; raises the error of a Failure."""
    vectors: dict[int, Sequence[float]] = {}
    usage = Usage(0, 0, 0)
    async with aclosing(events):
        async for event in events:
            match event:
                case Embedding(choice, values):
                    vectors[choice] = values
                case Usage():
                    usage = event
                case Failure(error):
                    raise error
    return [vectors[choice] for choice in sorted(vectors)], usage


def keep_best(answer: Answer, drawn: int, kept: int) -> Answer:
    """Of the `drawn` choices of each prompt the `kept` of the highest mean log-probability a token, best first."""
    best = []
    for first in range(0, len(answer.choices), drawn):
        choices = answer.choices[first : first + drawn]
        best += [choices[number] for number in likeliest([choice.tokens for choice in choices], kept)]
    prompts = {first // drawn * kept: infos for first, infos in answer.prompts.items()}
    return Answer(best, prompts, answer.usage)


async def prepare_all(pipeline: Pipeline, requests: Sequence[GenerationRequest]) -> list[Prepared]:
    """Check and tokenise every prompt of a call; RequestError for the first that cannot be honoured."""
    prepared = []
    for request in requests:
        prepared.append(await pipeline.prepare(request))
        await asyncio.sleep(0)  # streams go on between one prompt and the next
    return prepared


async def run_all(pipeline: Pipeline, prepared: Sequence[Prepared]) -> AsyncGenerator[GenerationEvent, None]:
    """The events of several prompts as of one request: choices numbered on from prompt to prompt, usage summed.

    The first Failure ends all of them.
    """
    if len(prepared) == 1:
        async with aclosing(pipeline.run(prepared[0])) as events:
            async for event in events:
                yield event
        return
    total = Usage(0, 0, 0)
    async with aclosing(_interleave([pipeline.run(item) for item in prepared])) as merged:
        async for prompt, event in merged:
            if isinstance(event, Usage):
                total = Usage(
                    total.prompt_tokens + event.prompt_tokens,
                    total.completion_tokens + event.completion_tokens,
                    total.cached_tokens + event.cached_tokens,
                    total.reasoning_tokens + event.reasoning_tokens,
                )
            elif isinstance(event, Failure):
                yield event
                return
            else:
                yield replace(event, choice=event.choice + prompt * prepared[prompt].add.n)
    yield total


async def stop_all(pipeline: Pipeline, prepared: Sequence[Prepared]) -> None:
    """End several prompts where they are."""
    for item in prepared:
        await pipeline.stop(item)


async def _interleave(
    streams: Sequence[AsyncGenerator[GenerationEvent, None]],
) -> AsyncGenerator[tuple[int, GenerationEvent], None]:
    """Events of all streams as they come, with the number of their stream; closing it closes them all."""
    queue: asyncio.Queue[tuple[int, GenerationEvent | Exception | None]] = asyncio.Queue(QUEUED_EVENTS)

    async def pump(number: int, stream: AsyncGenerator[GenerationEvent, None]) -> None:
        try:
            async with aclosing(stream):
                async for event in stream:
                    await queue.put((number, event))
            await queue.put((number, None))
        except Exception as error:
            await queue.put((number, error))

    tasks = [asyncio.create_task(pump(number, stream)) for number, stream in enumerate(streams)]
    try:
        running = len(tasks)
        while running:
            number, item = await queue.get()
            if isinstance(item, Exception):
                raise item
            if item is None:
                running -= 1
            else:
                yield number, item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
