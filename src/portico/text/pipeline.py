"""The way of a request through the text layer: prompt to tokens, tokens to events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeVar, cast

import msgspec

from portico.errors import EngineError, RequestError
from portico.protocol.events import (
    Embedding,
    Failure,
    GenerationEvent,
    PromptScores,
    TextDelta,
    TokenInfo,
    Usage,
)
from portico.protocol.messages import GRAMMAR_PROBLEM, Add, TokenEvent
from portico.protocol.request import ChatPrompt, GenerationRequest, Known, Terms, TextPrompt, TokenPrompt
from portico.text.engine_client import EngineClient
from portico.text.known import answer_text, known_after
from portico.text.model import TextModel
from portico.text.prompt_log import PromptLog
from portico.text.reading import ChoiceReading
from portico.text.trace import Trace

T = TypeVar("T")

LATE = "request_timeout"
"""The word of the error of a request that has not been finished in time."""
THREAD_FROM_CHARACTERS = 4096
"""Prompts this long are laid out and tokenised in a thread (about 1 ms of work), so that streams do not stall."""
CHARACTERS_PER_MESSAGE = 40
"""As many are laid out in the time that a message takes by itself."""
GRAMMAR_THREADS = 2
"""Requests whose grammars are looked at together; others wait for them, and not those without a grammar."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that has passed every check that can be made before the model runs."""

    add: Add
    choices: list[ChoiceReading]
    echo: str = ""
    """What every choice begins with."""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the request is to end where it is."""
    terms: Terms = Terms()  # noqa: RUF009 - frozen
    late: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the request's time is over."""


class Pipeline:
    """One model's text layer over its engine; one object for all requests of the front."""

    def __init__(
        self,
        model: TextModel,
        engine: EngineClient,
        trace: Trace | None = None,
        prompts: PromptLog | None = None,
        on_late: Callable[[str, str], None] = lambda request_id, code: None,
    ) -> None:
        """`on_late` is told of each request whose time is over while it runs, and the word of its error."""
        self.model = model
        self.engine = engine
        self._on_late = on_late
        self._trace = trace or Trace()
        self._grammar_threads = ThreadPoolExecutor(GRAMMAR_THREADS, thread_name_prefix="grammars")
        self._prompts = prompts

    async def prepare(self, request: GenerationRequest) -> Prepared:
        """Check a request and turn its prompt into tokens; RequestError if it cannot be honoured."""
        loaded, terms = self.engine.loaded, request.terms

        def work() -> Prepared:
            add = msgspec.structs.replace(
                self.model.prepare(request, loaded),
                owner=terms.owner,
                priority=terms.priority,
                outranks=terms.outranks,
            )
            echo = self.model.echo(add.prompt_ids, request) if request.echo else ""
            return Prepared(add, self.model.choices(request, add.prompt_ids), echo, terms=terms)

        self._trace.mark(request.request_id, "receive request")
        with self._trace.span(request.request_id, "tokenization"):
            prepared = await self._done(request, work, terms.deadline)
        if self._prompts is not None:
            self._prompts.write(prepared.add, self.model)
        return prepared

    async def tokenize(self, request: GenerationRequest) -> list[int]:
        """The tokens that the request's prompt would have, though it be too long; RequestError as `prepare`."""
        vocab_size = self.engine.loaded.vocab_size

        def work() -> list[int]:
            return self.model.prompt_ids(request, vocab_size)

        return await self._done(request, work, request.terms.deadline)

    def run(self, prepared: Prepared) -> AsyncGenerator[GenerationEvent, None]:
        """The events of a prepared request; closing the generator cancels it in the engine.

        A request whose time is over ends with a Failure, whether it waits, runs, or its reader is slow.
        """
        deadline = prepared.terms.deadline
        return self._run(prepared) if deadline is None else self._timed(prepared, deadline)

    async def _timed(self, prepared: Prepared, deadline: float) -> AsyncGenerator[GenerationEvent, None]:
        if time.monotonic() >= deadline:
            yield Failure(too_late(prepared.terms))
            return
        timer = asyncio.create_task(self._end_at(prepared, deadline))
        try:
            async with aclosing(self._run(prepared)) as events:
                async for event in events:
                    yield event
        finally:
            timer.cancel()

    async def _end_at(self, prepared: Prepared, deadline: float) -> None:
        """Wait until a request's time is over, then take it from the engine."""
        await asyncio.sleep(deadline - time.monotonic())
        prepared.late.set()
        self._on_late(prepared.add.request_id, LATE)
        await self.engine.cancel(prepared.add.request_id)

    async def _run(self, prepared: Prepared) -> AsyncGenerator[GenerationEvent, None]:
        answer = _Answer(prepared, self.model)
        for event in answer.begin():
            yield event
        if prepared.stopped.is_set():
            for event in answer.end():
                yield event
            return
        # Engine clients are generators, whose closing is what cancels; the protocol promises only an iterator.
        source = cast("AsyncGenerator[list[TokenEvent], None]", self.engine.submit(prepared.add))
        async with aclosing(source):
            try:
                async for batch in source:
                    for token_event in batch:
                        told = answer.take(token_event)
                        if answer.ended_by_text:  # before its reader, who may be slow, gets to see it
                            await self.engine.cancel(token_event.request_id, token_event.choice)
                        for event in told:
                            yield event
                    if answer.done:
                        break
            except RequestError as error:
                yield Failure(error)
                return
        if not answer.done and prepared.late.is_set():
            yield Failure(too_late(prepared.terms))
        elif not answer.done and prepared.stopped.is_set():
            for event in answer.end():
                yield event
        elif not answer.done:
            yield Failure(EngineError("The engine ended the request before it was finished."))
        elif not answer.failed:
            yield answer.usage()

    async def stop(self, prepared: Prepared) -> None:
        """End a request where it is: what runs of it finishes as if the model had ended it."""
        prepared.stopped.set()
        await self.engine.cancel(prepared.add.request_id)

    async def remember(self, request: GenerationRequest, prepared: Prepared) -> tuple[str, Known] | None:
        """The first answer to a conversation as its next turn is to have it, in text and, with all before, in tokens.

        None where its tokens are not its text, as where a stop string was cut off, or where they frame it.
        """
        prompt, choice = request.prompt, prepared.choices[0]
        if not isinstance(prompt, ChatPrompt) or choice.ended_by_text or self.model.frame is not None:
            return None
        tokenizer = self.model.tokenizer

        def work() -> tuple[str, Known]:
            known = known_after(self.model.laid_out(prompt), prepared.add.prompt_ids, choice.said_ids, tokenizer)
            return answer_text(choice.said_ids, tokenizer), known

        return await self._done(request, work)

    async def _done(self, request: GenerationRequest, work: Callable[[], T], deadline: float | None = None) -> T:
        """Work on a request's prompt, in a thread if it may take long; RequestError 504 when its time is over.

        What waits for a thread then never gets one; what is being worked on nobody waits for.
        """
        if _is_quick(request):
            return work()
        threads = self._grammar_threads if _has_grammar(request) else None
        try:
            async with asyncio.timeout(None if deadline is None else deadline - time.monotonic()):
                return await asyncio.get_running_loop().run_in_executor(threads, work)
        except TimeoutError:
            raise too_late(request.terms) from None

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent, None]:
        """`prepare` and `run` in one; raises RequestError before the first event."""
        async with aclosing(self.run(await self.prepare(request))) as events:
            async for event in events:
                yield event


def _failure(error: str) -> RequestError:
    """What failed in the engine, as the client is told it."""
    if error.startswith(GRAMMAR_PROBLEM):
        return RequestError(error, code="invalid_value")
    return EngineError(error)


def _has_grammar(request: GenerationRequest) -> bool:
    """Whether the answer may be held to a form."""
    prompt = request.prompt
    return request.sampling.guided is not None or (isinstance(prompt, ChatPrompt) and prompt.calls is not None)


def too_late(terms: Terms) -> RequestError:
    """What a client is told whose request has not been finished in time."""
    return RequestError(
        f"The request was not finished within {terms.seconds:g} s of its arrival "
        "(--request-timeout, X-Request-Timeout).",
        status=504,
        type="timeout_error",
        code=LATE,
    )


class _Answer:
    """What is known of a running answer: which choices go on, what they cost, what their text is."""

    def __init__(self, prepared: Prepared, model: TextModel) -> None:
        self._prepared = prepared
        self._model = model
        self._running = set(range(prepared.add.n))
        self._cached_tokens = 0
        self._scored = False
        self.failed = False
        self.ended_by_text = False
        """Whether the latest event ended its choice by what its text says, which the engine cannot know."""

    def begin(self) -> list[GenerationEvent]:
        """What comes before any token; an echo that is to be scored waits for its scores."""
        return [] if self._prepared.add.params.prompt_logprobs is not None else self._echo(())

    def _echo(self, infos: Sequence[TokenInfo]) -> list[GenerationEvent]:
        text = self._prepared.echo
        return [TextDelta(choice, text, 0, tuple(infos)) for choice in range(self._prepared.add.n) if text]

    @property
    def done(self) -> bool:
        return self.failed or not self._running

    def take(self, event: TokenEvent) -> list[GenerationEvent]:
        """The events that come of one event of the engine."""
        self.ended_by_text = False
        if event.choice not in self._running or self.failed:
            return []
        if event.finish == "error":
            self.failed = True
            return [Failure(_failure(event.error or "The engine failed."))]
        self._cached_tokens = max(self._cached_tokens, event.cached_tokens)
        events = self._scores(event)
        if event.embedding is not None:
            self._running.discard(event.choice)
            return [Embedding(event.choice, event.embedding)]
        choice = self._prepared.choices[event.choice]
        events += choice.take(event)
        if choice.finished:
            self._running.discard(event.choice)
            self.ended_by_text = choice.ended_by_text
        return events

    def _scores(self, event: TokenEvent) -> list[GenerationEvent]:
        """The prompt's scores, which come with its first event: a prompt of one token has none."""
        if self._prepared.add.params.prompt_logprobs is None or self._scored:
            return []
        self._scored = True
        infos = self._model.prompt_infos(self._prepared.add.prompt_ids, event.prompt_logprobs or [])
        return [PromptScores(0, infos), *self._echo(infos)]

    def end(self) -> list[GenerationEvent]:
        """What is left to tell of choices that are ended where they are."""
        events: list[GenerationEvent] = []
        for choice in sorted(self._running):
            events += self._prepared.choices[choice].take(TokenEvent(self._prepared.add.request_id, choice, [], "stop"))
        self._running.clear()
        return [*events, self.usage()]

    def usage(self) -> Usage:
        return Usage(
            prompt_tokens=len(self._prepared.add.prompt_ids),
            completion_tokens=sum(choice.token_count for choice in self._prepared.choices),
            cached_tokens=self._cached_tokens,
            reasoning_tokens=sum(choice.reasoning_tokens for choice in self._prepared.choices),
        )


def _is_quick(request: GenerationRequest) -> bool:
    """Whether a request is prepared in about a millisecond: no grammar, gap, template of its own or long prompt."""
    match request.prompt:
        case TextPrompt(suffix=suffix) if suffix:
            return False
        case ChatPrompt(layout=layout, calls=calls) if calls is not None or layout.template is not None:
            return False
    return request.sampling.guided is None and _prompt_size(request) < THREAD_FROM_CHARACTERS


def _prompt_size(request: GenerationRequest) -> int:
    """Roughly how many characters there are to work on; a token costs a small part of one, a message some."""
    match request.prompt:
        case ChatPrompt(messages, tools, layout):
            further = (tools, layout.documents, layout.variables)
            texts = sum(len(str(message.get("content"))) for message in messages) + sum(map(len, map(str, further)))
            return texts + CHARACTERS_PER_MESSAGE * len(messages)
        case TextPrompt(text):
            return len(text)
        case TokenPrompt(token_ids):
            return len(token_ids) // 8
