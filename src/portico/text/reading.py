"""From the tokens of one choice to events: what is thought, what is said, which tools are called, why it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from portico.protocol.events import (
    Finish,
    FinishReason,
    GenerationEvent,
    ReasoningDelta,
    TextDelta,
    TokenInfo,
    ToolCallDelta,
)
from portico.protocol.messages import TokenEvent, TokenLogprobs
from portico.text.choice import ChoiceText
from portico.text.thinking import ThinkingReader
from portico.text.tools.output import Argued, Called, Piece, Said, Thought
from portico.text.tools.reader import ToolReader

Infos = Callable[[Sequence[int], Sequence[TokenLogprobs], int], Sequence[TokenInfo]]
"""Tokens with their log-probabilities as text, of which so many are part of the answer's."""


class ChoiceEvents:
    """Turns one choice's text, as it comes, into events; tokens are told with the first event that comes after them."""

    def __init__(
        self,
        choice: int,
        *,
        thinking: ThinkingReader | None = None,
        shows_thinking: bool = True,
        tools: ToolReader | None = None,
        new_id: Callable[[], str] = str,
    ) -> None:
        """Without readers all text is said; `new_id` makes the ids of calls."""
        self._choice = choice
        self._thinking = thinking
        self._shows_thinking = shows_thinking
        self._tools = tools
        self._new_id = new_id
        self._count = 0
        self._infos: list[TokenInfo] = []
        self._undecided = 0
        self.reasoning_tokens = 0
        """Tokens of the thinking, its markers included."""

    @property
    def thinks(self) -> bool:
        """Whether what comes next may be part of the thinking."""
        if self._tools is not None and self._tools.frames:
            return True
        return self._thinking is not None and not self._thinking.over

    @property
    def done(self) -> bool:
        """Whether the choice ends here though the engine does not know it."""
        return self._tools is not None and self._tools.done

    def take(
        self,
        text: str,
        count: int,
        infos: Sequence[TokenInfo],
        finish: FinishReason | None,
        stop: str | None = None,
    ) -> list[GenerationEvent]:
        """The events of some tokens: their text, their number, and the reason if they are the last.

        `stop` is the stop string that is the reason.
        """
        self._count += count
        self._infos += infos
        events: list[GenerationEvent] = [self._event(piece) for piece in self._read(text, count, finish)]
        if self.done:
            finish = "stop"
        if finish is None:
            return events
        if not events and self._infos:
            events.append(self._event(Said("")))
        if self._tools is not None and self._tools.calls and finish == "stop":
            finish = "tool_calls"
        return [*events, Finish(self._choice, finish, stop)]

    def _read(self, text: str, count: int, finish: FinishReason | None) -> list[Piece]:
        pieces: list[Piece] = []
        if self._thinking is not None:
            self._undecided += count if self.thinks else 0
            thought, said = self._thinking.push(text)
            if finish is not None:
                rest = self._thinking.end()
                thought, said = thought + rest[0], said + rest[1]
            if self._thinking.began:
                self.reasoning_tokens = self._undecided
            if thought and self._shows_thinking:
                pieces.append(Thought(thought))
            text = said
        if self._tools is None:
            return [*pieces, Said(text)] if text else pieces
        thinks = self._tools.thinks
        pieces += self._tools.push(text) if text else []
        self.reasoning_tokens += count if thinks or self._tools.thinks else 0
        pieces += self._tools.end() if finish is not None else []
        return [piece for piece in pieces if self._shows_thinking or not isinstance(piece, Thought)]

    def _event(self, piece: Piece) -> TextDelta | ReasoningDelta | ToolCallDelta:
        count, infos = self._count, tuple(self._infos)
        self._count, self._infos = 0, []
        match piece:
            case Said(text):
                return TextDelta(self._choice, text, count, infos)
            case Thought(text):
                return ReasoningDelta(self._choice, text, count, infos)
            case Called(index, name):
                return ToolCallDelta(self._choice, index, self._new_id(), name, "", count, infos)
            case Argued(index, text):
                return ToolCallDelta(self._choice, index, None, None, text, count, infos)


class ChoiceReading:
    """One choice from the engine's tokens to events; shared by the server's pipeline and the offline interface."""

    def __init__(self, text: ChoiceText, events: ChoiceEvents, infos: Infos) -> None:
        self._text = text
        self._events = events
        self._infos = infos
        self.token_ids: list[int] = []
        """The tokens that belong to the answer."""
        self.finished = False
        self.ended_by_text = False
        """Whether it ended by what its text says, so that the engine does not know of its end."""

    @property
    def token_count(self) -> int:
        """How many they are."""
        return len(self.token_ids)

    @property
    def said_ids(self) -> list[int]:
        """Those that are part of the answer's text: a token that ended it is not."""
        return self.token_ids[: self._text.said]

    @property
    def reasoning_tokens(self) -> int:
        """Those of them that were spent thinking."""
        return self._events.reasoning_tokens

    def take(self, event: TokenEvent) -> list[GenerationEvent]:
        """The events that come of one event of the engine; none once the choice has finished."""
        events: list[GenerationEvent] = []
        for part in self._parts(event):
            if not self.finished:
                events += self._take(part)
        return events

    def _parts(self, event: TokenEvent) -> Iterator[TokenEvent]:
        """While the model thinks token by token, so that each is counted for what it is."""
        last = len(event.token_ids) - 1
        if last < 1 or not self._events.thinks:
            yield event
            return
        for place, token_id in enumerate(event.token_ids):
            told = None if event.logprobs is None else event.logprobs[place : place + 1]
            finish = event.finish if place == last else None
            yield TokenEvent(event.request_id, event.choice, [token_id], finish, logprobs=told)

    def _take(self, event: TokenEvent) -> list[GenerationEvent]:
        before, said = self._text.token_count, self._text.said
        assert event.finish != "error"
        text, finish = self._text.feed(event.token_ids, event.finish)
        new = self._text.token_count - before
        self.token_ids += event.token_ids[:new]
        infos: Sequence[TokenInfo] = ()
        if event.logprobs is not None:
            infos = self._infos(event.token_ids[:new], event.logprobs[:new], self._text.said - said)
        events = self._events.take(text, new, infos, finish, self._text.stop_string)
        self.finished = finish is not None or self._events.done
        self.ended_by_text = self._text.stop_string is not None or (finish is None and self._events.done)
        return events
