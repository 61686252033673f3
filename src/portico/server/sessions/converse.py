"""One turn of a conversation whose history the server keeps: the same for every door that has such."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from portico.errors import RequestError
from portico.protocol.events import Failure, Finish, GenerationEvent, TextDelta, Usage
from portico.protocol.messages import TokenEvent
from portico.protocol.request import ChatPrompt, GenerationRequest, Known, Terms
from portico.protocol.sampling import SamplingParams
from portico.server.disconnect import to_its_end
from portico.server.sessions.history import History, Key
from portico.server.sessions.sessions import Sessions
from portico.text.pipeline import Pipeline, Prepared, too_late


@dataclass(frozen=True, slots=True)
class Turn:
    """What a client says, and what is asked of the answer."""

    request_id: str
    messages: list[dict[str, Any]]
    """New ones only."""
    sampling: SamplingParams
    """One choice."""
    key: Key | None
    """None: a conversation of this one turn."""
    goes_on: bool = True
    """Whether the session is kept; else it ends with this turn, which still knows what came before."""
    step: int = 0
    """Tokens of the conversation, up to the end of a turn, that it goes on from; 0: all."""
    answers: bool = True
    """Whether there is to be an answer; else the messages are only remembered."""
    max_tokens_param: str = "max_tokens"
    prompt_param: str = "prompt"
    terms: Terms = Terms()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True)
class Begun:
    """The first event of a turn: it can be honoured."""

    history_tokens: int
    """Tokens of the conversation before it."""
    input_tokens: int
    """Tokens that it adds to them."""


class SessionFullError(RequestError):
    """History, new messages and the answer that is asked for do not fit the context."""

    def __init__(self, error: RequestError, begun: Begun) -> None:
        super().__init__(error.message, param=error.param, status=error.status, type=error.type, code=error.code)
        self.begun = begun


async def converse(pipeline: Pipeline, sessions: Sessions, turn: Turn) -> AsyncGenerator[Begun | GenerationEvent, None]:
    """The events of a turn, first of all `Begun`; raises RequestError before it, SessionFullError among them.

    Turns of one session run one after another. Whatever has been said when a turn is stopped or its client hangs up
    is part of the history; a turn that brought nothing, or failed, is as if it had never been. The history is stored
    before `Finish` is told.
    """
    async with _held(sessions, turn) as whole:
        history = _up_to(whole, turn.step)
        known = history.known(pipeline.model.tokenizer.fingerprint)
        request = GenerationRequest(
            turn.request_id,
            ChatPrompt([*history.messages, *turn.messages], known=known),
            turn.sampling,
            max_tokens_param=turn.max_tokens_param,
            prompt_param=turn.prompt_param,
            terms=turn.terms,
        )
        try:
            prepared = await pipeline.prepare(request)
        except RequestError as error:
            if error.code != "context_length_exceeded":
                raise
            if not turn.goes_on:
                await _end(sessions, turn, history)
            tokens = error.counts.get("prompt_tokens") or len(await pipeline.tokenize(request))
            raise SessionFullError(error, _begun(history, tokens)) from error
        yield _begun(history, len(prepared.add.prompt_ids))
        run = _Run(pipeline, sessions, turn, request, prepared, history, known)
        async with aclosing(run.answer() if turn.answers else run.remember()) as events:
            async for event in events:
                yield event


@dataclass(frozen=True, slots=True)
class _Run:
    """A turn that is being answered."""

    pipeline: Pipeline
    sessions: Sessions
    turn: Turn
    request: GenerationRequest
    prepared: Prepared
    history: History
    known: Known | None
    """What the history knows in this model's tokens."""

    async def answer(self) -> AsyncGenerator[GenerationEvent, None]:
        """Its events, the last ones once the history is stored."""
        said, ending, failed = "", list[GenerationEvent](), False
        try:
            async with aclosing(self._running()) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        said += event.text
                        yield event
                    else:
                        failed = failed or isinstance(event, Failure)
                        ending.append(event)
        finally:
            await to_its_end(self._conclude(None if failed else said + _rest(self.prepared)))
        for event in ending:
            yield event

    def _running(self) -> AsyncGenerator[GenerationEvent, None]:
        events, key = self.pipeline.run(self.prepared), self.turn.key
        if key is None:
            return events
        return self.sessions.stoppable(key, events, lambda: self.pipeline.stop(self.prepared))

    async def remember(self) -> AsyncGenerator[GenerationEvent, None]:
        """The same without an answer."""
        tokens = len(self.prepared.add.prompt_ids)
        await self._keep(self.turn.messages, self.known, tokens)
        yield Finish(0, "length")
        yield Usage(tokens, 0, 0)

    async def _conclude(self, said: str | None) -> None:
        """Keep what the session knows now; `said` is None for a turn that failed."""
        choice = self.prepared.choices[0]
        if not self.turn.goes_on:
            await _end(self.sessions, self.turn, self.history)
        elif said is not None and choice.token_ids and self.turn.key is not None:
            said, known = await self.pipeline.remember(self.request, self.prepared) or (said, None)
            messages = [*self.turn.messages, {"role": "assistant", "content": said}]
            await self._keep(messages, known, len(self.prepared.add.prompt_ids) + choice.token_count)

    async def _keep(self, messages: list[dict[str, Any]], known: Known | None, tokens: int) -> None:
        if self.turn.key is not None:
            vocabulary = self.pipeline.model.tokenizer.fingerprint
            await self.sessions.save(self.turn.key, self.history.after(messages, known, vocabulary, tokens))


@asynccontextmanager
async def _held(sessions: Sessions, turn: Turn) -> AsyncIterator[History]:
    if turn.key is None:
        yield History()
        return
    deadline = turn.terms.deadline
    async with AsyncExitStack() as held:
        try:
            async with asyncio.timeout(None if deadline is None else deadline - time.monotonic()) as limit:
                history = await held.enter_async_context(sessions.hold(turn.key))
        except TimeoutError:
            if not limit.expired():
                raise
            raise too_late(turn.terms) from None
        yield history or History()


def _up_to(history: History, step: int) -> History:
    """The conversation that a turn goes on from."""
    if not step:
        return history
    found = history.back_to(step)
    if found is None:
        ends = ", ".join(str(mark.tokens) for mark in history.marks)
        raise RequestError(
            f"step is {step}; turns of this conversation ended after {ends or 'no'} tokens, and 0 is all of it.",
            param="step",
            code="invalid_value",
        )
    return found


async def _end(sessions: Sessions, turn: Turn, history: History) -> None:
    """Forget the session, if there is one."""
    if turn.key is not None and history.messages:
        await sessions.end(turn.key)


def _begun(history: History, prompt_tokens: int) -> Begun:
    # A template may lay out old turns shorter than they were, as without what the model thought.
    before = min(history.tokens, prompt_tokens)
    return Begun(before, prompt_tokens - before)


def _rest(prepared: Prepared) -> str:
    """Text that an answer which was left unfinished still held back."""
    choice = prepared.choices[0]
    if choice.finished:
        return ""
    events = choice.take(TokenEvent(prepared.add.request_id, 0, [], "stop"))
    return "".join(event.text for event in events if isinstance(event, TextDelta))
