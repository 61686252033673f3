"""What `LLM` answers, and requests whose answers are growing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from portico.errors import EngineError
from portico.protocol.events import Finish, FinishReason, ReasoningDelta, TextDelta, TokenInfo, ToolCallDelta
from portico.protocol.messages import Add, TokenEvent
from portico.protocol.sampling import SamplingParams
from portico.text.best import likeliest
from portico.text.model import TextModel
from portico.text.reading import ChoiceReading
from portico.text.whole import ToolCall, WholeChoice


@dataclass(frozen=True, slots=True)
class Choice:
    """One continuation of a prompt."""

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    logprobs: tuple[TokenInfo, ...]
    """Of each token, where `SamplingParams.logprobs` asks for them."""
    reasoning: str = ""
    """What the model thought first, where `chat` was asked to keep it apart."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Where `chat` was given a `tool_choice`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one prompt."""

    prompt_ids: tuple[int, ...]
    cached_tokens: int
    """Prompt tokens that were taken from the prefix cache."""
    choices: tuple[Choice, ...]
    prompt_logprobs: tuple[TokenInfo, ...] = ()
    """Of each token of the prompt, where `SamplingParams.prompt_logprobs` asks for them."""

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choices[0].text


@dataclass(slots=True)
class Growing:
    """A choice that is being generated."""

    reading: ChoiceReading
    whole: WholeChoice = field(default_factory=WholeChoice)
    token_ids: list[int] = field(default_factory=list)

    def take(self, event: TokenEvent) -> None:
        """One more event of this choice."""
        self.token_ids += event.token_ids
        for told in self.reading.take(event):
            if isinstance(told, TextDelta | ReasoningDelta | ToolCallDelta):
                self.whole.add(told)
            elif isinstance(told, Finish):
                self.whole.reason = told.reason

    def choice(self) -> Choice:
        """The choice, which must have finished."""
        assert self.reading.finished
        whole = self.whole
        told, calls = tuple(whole.tokens), tuple(whole.calls)
        return Choice(whole.text, tuple(self.token_ids), whole.reason, told, whole.reasoning, calls)


@dataclass(slots=True)
class Running:
    """A request that is being answered."""

    text: TextModel
    wishes: SamplingParams
    add: Add
    choices: list[Growing]
    cached_tokens: int = 0
    embedding: tuple[float, ...] = ()
    prompt_logprobs: tuple[TokenInfo, ...] = ()
    ended_by_text: bool = False
    """Whether the latest event ended its choice by what its text says, which the engine cannot know."""

    def take(self, event: TokenEvent) -> int:
        """One more event; returns how many choices it finished. EngineError if the engine failed."""
        self.ended_by_text = False
        if event.finish == "error":
            raise EngineError(event.error or "the engine failed")
        self.cached_tokens = max(self.cached_tokens, event.cached_tokens)
        if event.embedding is not None:
            self.embedding = tuple(event.embedding)
            return 1
        choice = self.choices[event.choice]
        if choice.reading.finished:
            return 0
        if event.prompt_logprobs is not None:
            self.prompt_logprobs = tuple(self.text.prompt_infos(self.add.prompt_ids, event.prompt_logprobs))
        choice.take(event)
        self.ended_by_text = choice.reading.ended_by_text
        return choice.reading.finished

    def answer(self) -> Answer:
        """The answer, once all choices have finished."""
        choices = tuple(growing.choice() for growing in self.choices)
        if len(choices) > self.wishes.n:
            choices = tuple(choices[number] for number in likeliest([c.logprobs for c in choices], self.wishes.n))
        if self.wishes.logprobs is None:
            choices = tuple(replace(choice, logprobs=()) for choice in choices)
        return Answer(tuple(self.add.prompt_ids), self.cached_tokens, choices, self.prompt_logprobs)
