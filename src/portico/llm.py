"""The same engine without a server: many prompts at once, from Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from portico.build import build_engine
from portico.config.cache import weights_cache_folder
from portico.config.engine import DtypeName, EngineConfig, LogprobsMode, QuantizationName
from portico.demo import NAME as DEMO_NAME
from portico.demo import demo_folder
from portico.errors import EngineError, RequestError
from portico.protocol.events import FinishReason, TokenInfo
from portico.protocol.messages import Add, Cancel, TokenEvent
from portico.protocol.request import ChatPrompt, Embed, GenerationRequest, Prompt, TextPrompt, TokenPrompt
from portico.protocol.sampling import SamplingParams
from portico.text.best import likeliest
from portico.text.choice import ChoiceText
from portico.text.model import TextModel
from portico.weights.hub import resolve_model

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """One continuation of a prompt."""

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    logprobs: tuple[TokenInfo, ...]
    """Of each token, where `SamplingParams.logprobs` asks for them."""


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


class LLM:
    """A model in this process; `LLM()` is the bundled demo model, `LLM("folder or hub id")` any other.

    Raises CheckpointError or ConfigError if the model cannot be loaded as asked. Not for use from several threads.
    """

    def __init__(
        self,
        model: str = DEMO_NAME,
        *,
        dtype: DtypeName = "auto",
        device: str = "auto",
        max_model_len: int | None = None,
        max_num_seqs: int = 128,
        max_num_batched_tokens: int | None = None,
        kv_cache_memory: int | None = None,
        threads: int | None = None,
        quantization: QuantizationName = "auto",
        weights_cache: str = "auto",
        logprobs_mode: LogprobsMode = "raw_logprobs",
    ) -> None:
        folder = demo_folder() if model == DEMO_NAME else resolve_model(model)
        self._text = TextModel.load(folder)
        self._engine, self.loaded = build_engine(
            EngineConfig(
                model_path=str(folder),
                dtype=dtype,
                device=device,
                max_model_len=max_model_len,
                max_num_seqs=max_num_seqs,
                max_num_batched_tokens=max_num_batched_tokens,
                kv_cache_memory=kv_cache_memory,
                threads=threads,
                quantization=quantization,
                weights_cache=weights_cache_folder(weights_cache, os.environ),
                logprobs_mode=logprobs_mode,
            )
        )
        self._made = 0

    def generate(
        self,
        prompts: str | Sequence[str] | Sequence[Sequence[int]],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        suffix: str = "",
        progress: bool = True,
    ) -> list[Answer]:
        """Continue each prompt (text, or token ids), all at once; one answer a prompt, in their order.

        `sampling_params` is for all prompts or one for each; None means the model's defaults. With a `suffix` the gap
        between each text and it is filled, if the model knows how. Raises RequestError, before anything runs, if a
        prompt or a parameter cannot be honoured.
        """
        several: Sequence[Any] = [prompts] if isinstance(prompts, str) else prompts
        made: list[Prompt] = [TextPrompt(p, suffix) if isinstance(p, str) else TokenPrompt(list(p)) for p in several]
        return self._run(made, sampling_params, progress)

    def chat(
        self,
        messages: Sequence[Message] | Sequence[Sequence[Message]],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        tools: Sequence[Mapping[str, Any]] | Sequence[Sequence[Mapping[str, Any]] | None] | None = None,
        progress: bool = True,
    ) -> list[Answer]:
        """Answer one conversation, or many at once; one answer a conversation, in their order.

        `tools` are shown to the model by its chat template, one list for all conversations or one for each; calls come
        back as the text that the model writes.
        """
        conversations: Sequence[Any] = messages if messages and not isinstance(messages[0], Mapping) else [messages]
        each = _one_for_each(tools, len(conversations), "tools", _is_one_toolbox)
        made: list[Prompt] = [ChatPrompt(c, t) for c, t in zip(conversations, each, strict=True)]
        return self._run(made, sampling_params, progress)

    def embed(
        self,
        prompts: str | Sequence[str] | Sequence[Sequence[int]],
        *,
        dimensions: int | None = None,
        progress: bool = True,
    ) -> list[tuple[float, ...]]:
        """A vector for each prompt (text, or token ids), pooled and normalised as the model's folder says.

        `dimensions` keeps so many leading components. Raises RequestError, before anything runs, if that cannot be.
        """
        several: Sequence[Any] = [prompts] if isinstance(prompts, str) else prompts
        made: list[Prompt] = [TextPrompt(p) if isinstance(p, str) else TokenPrompt(list(p)) for p in several]
        wish = Embed(dimensions)
        states = [self._prepare(self._request(prompt, SamplingParams(), wish)) for prompt in made]
        return [state.embedding for state in self._advance(states, progress)]

    def _run(
        self, prompts: Sequence[Prompt], asked: SamplingParams | Sequence[SamplingParams] | None, progress: bool
    ) -> list[Answer]:
        params = _one_for_each(asked, len(prompts), "sampling_params", lambda value: isinstance(value, SamplingParams))
        pairs = zip(prompts, params, strict=True)
        states = [self._prepare(self._request(prompt, wishes or SamplingParams())) for prompt, wishes in pairs]
        return [state.answer() for state in self._advance(states, progress)]

    def _request(self, prompt: Prompt, wishes: SamplingParams, embed: Embed | None = None) -> GenerationRequest:
        self._made += 1
        return GenerationRequest(str(self._made), prompt, wishes, embed=embed)

    def _advance(self, states: Sequence[_Running], progress: bool) -> Sequence[_Running]:
        """Run requests to their end."""
        running = {state.add.request_id: state for state in states}
        for state in states:
            self._engine.add(state.add)
        try:
            with _progress(sum(state.add.n for state in running.values()), shown=progress) as advance:
                while self._engine.has_work:
                    for event in self._engine.step().events:
                        advance(self._take(running[event.request_id], event))
        finally:  # an error, or Ctrl-C: leave nothing behind
            for request_id in running:
                self._engine.cancel(Cancel(request_id))
        return states

    def _prepare(self, request: GenerationRequest) -> _Running:
        wishes = request.sampling
        wishes.validate()
        drawing = replace(request, sampling=wishes.drawn)
        add = self._text.prepare(drawing, self.loaded)
        return _Running(wishes, add, [_Growing(text) for text in self._text.choices(drawing)])

    def _take(self, state: _Running, event: TokenEvent) -> int:
        """Add an event to its choice; returns how many choices it finished."""
        if event.finish == "error":
            raise EngineError(event.error or "the engine failed")
        state.cached_tokens = max(state.cached_tokens, event.cached_tokens)
        if event.embedding is not None:
            state.embedding = tuple(event.embedding)
            return 1
        choice = state.choices[event.choice]
        if choice.text.finished is not None:
            return 0
        if event.prompt_logprobs is not None:
            state.prompt_logprobs = tuple(self._text.prompt_infos(state.add.prompt_ids, event.prompt_logprobs))
        count, said = choice.text.token_count, choice.text.said
        piece, finish = choice.text.feed(event.token_ids, event.finish)
        choice.pieces.append(piece)
        choice.token_ids += event.token_ids
        if event.logprobs is not None:
            new = choice.text.token_count - count
            choice.logprobs += self._text.token_infos(
                event.token_ids[:new], event.logprobs[:new], choice.text.said - said
            )
        if choice.text.stopped_by_text:
            self._engine.cancel(Cancel(event.request_id, event.choice))
        return finish is not None


@dataclass(slots=True)
class _Growing:
    """A choice that is being generated."""

    text: ChoiceText
    pieces: list[str] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenInfo] = field(default_factory=list)

    def choice(self) -> Choice:
        assert self.text.finished is not None
        return Choice("".join(self.pieces), tuple(self.token_ids), self.text.finished, tuple(self.logprobs))


@dataclass(slots=True)
class _Running:
    """A request that is being answered."""

    wishes: SamplingParams
    add: Add
    choices: list[_Growing]
    cached_tokens: int = 0
    embedding: tuple[float, ...] = ()
    prompt_logprobs: tuple[TokenInfo, ...] = ()

    def answer(self) -> Answer:
        choices = tuple(growing.choice() for growing in self.choices)
        if len(choices) > self.wishes.n:
            choices = tuple(choices[number] for number in likeliest([c.logprobs for c in choices], self.wishes.n))
        if self.wishes.logprobs is None:
            choices = tuple(replace(choice, logprobs=()) for choice in choices)
        return Answer(tuple(self.add.prompt_ids), self.cached_tokens, choices, self.prompt_logprobs)


def _one_for_each(value: Any, count: int, name: str, is_one: Callable[[Any], bool]) -> list[Any]:
    """`value` as a list of `count`: None or a single one serves all."""
    if value is None or is_one(value):
        return [value] * count
    if len(value) != count:
        raise RequestError(
            f"{name} has {len(value)} entries for {count} prompts; give one, or one for each.", param=name
        )
    return list(value)


def _is_one_toolbox(tools: Any) -> bool:
    """Whether this is a list of tools, not one list of them for each conversation."""
    return bool(tools) and all(isinstance(tool, Mapping) for tool in tools)


@contextmanager
def _progress(total: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar over finished choices, on terminals only."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("generating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count) if count else None
