"""The same engine without a server: many prompts at once, from Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from portico.answers import Answer, Growing, Running
from portico.build import build_engine
from portico.config.cache import weights_cache_folder
from portico.config.engine import DtypeName, EngineConfig, KVDtypeName, LogprobsMode, QuantizationName
from portico.config.text import TextOptions, TokenizerMode
from portico.demo import NAME as DEMO_NAME
from portico.demo import demo_folder
from portico.errors import RequestError
from portico.protocol.messages import Cancel, TokenEvent
from portico.protocol.request import (
    ChatPrompt,
    Embed,
    GenerationRequest,
    Layout,
    Prompt,
    TextPrompt,
    ThinkWish,
    TokenPrompt,
)
from portico.protocol.sampling import SamplingParams
from portico.text.builtin import given_template
from portico.text.model import TextModel
from portico.text.tools.wish import read_wish
from portico.weights.places import resolve_model

Message = Mapping[str, Any]


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
        kv_cache_dtype: KVDtypeName = "auto",
        threads: int | None = None,
        quantization: QuantizationName = "auto",
        weights_cache: str = "auto",
        logprobs_mode: LogprobsMode = "raw_logprobs",
        tokenizer: str | None = None,
        tokenizer_mode: TokenizerMode = "auto",
        chat_template: str | None = None,
        tool_call_parser: str = "auto",
        reasoning_parser: str = "auto",
    ) -> None:
        """`tokenizer` is the folder or hub id of tokenizer and chat template, if not the model's.

        `chat_template` is a file, Jinja itself or a built-in name; the parsers are as `portico serve` has them.
        """
        folder = _folder_of(model)
        beside = None if tokenizer is None else str(_folder_of(tokenizer, weights=False))
        template = None if chat_template is None else given_template(chat_template)
        options = TextOptions(
            tokenizer=beside,
            tokenizer_mode=tokenizer_mode,
            chat_template=None if template is None else template.source,
            stop_words=() if template is None else template.stop_words,
            tool_call_parser=tool_call_parser,
            reasoning_parser=reasoning_parser,
        )
        self._text = TextModel.load(folder, options)
        self._engine, self.loaded = build_engine(
            EngineConfig(
                model_path=str(folder),
                tokenizer_path=beside,
                tokenizer_mode=tokenizer_mode,
                dtype=dtype,
                device=device,
                max_model_len=max_model_len,
                max_num_seqs=max_num_seqs,
                max_num_batched_tokens=max_num_batched_tokens,
                kv_cache_memory=kv_cache_memory,
                kv_cache_dtype=kv_cache_dtype,
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
        tool_choice: str | Mapping[str, Any] | None = None,
        parallel_tool_calls: bool = True,
        separate_reasoning: bool = False,
        thinking_token_budget: int | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        progress: bool = True,
    ) -> list[Answer]:
        """Answer one conversation, or many at once; one answer a conversation, in their order.

        `tools` are shown to the model by its chat template, one list for all conversations or one for each. With a
        `tool_choice`, as OpenAI defines it ("auto", "none", "required", or a mapping that names one), the calls come
        back as `Choice.tool_calls`; without it they stay the text that the model writes. With `separate_reasoning`
        what the model thinks before it answers comes back as `Choice.reasoning`, and `thinking_token_budget` ends it
        after so many tokens. `chat_template_kwargs` are variables of the template, such as enable_thinking.
        """
        conversations: Sequence[Any] = messages if messages and not isinstance(messages[0], Mapping) else [messages]
        each = _one_for_each(tools, len(conversations), "tools", _is_one_toolbox)
        thinking = ThinkWish(budget=thinking_token_budget) if separate_reasoning else None
        if thinking is None and thinking_token_budget is not None:
            raise RequestError("thinking_token_budget needs separate_reasoning.", param="thinking_token_budget")
        layout = Layout(variables=chat_template_kwargs or {})
        made: list[Prompt] = []
        for conversation, shown in zip(conversations, each, strict=True):
            calls = None
            if tool_choice is not None:
                shown, calls = read_wish(shown or [], tool_choice, parallel_tool_calls)
            made.append(ChatPrompt(conversation, shown, layout, calls, thinking))
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

    def _advance(self, states: Sequence[Running], progress: bool) -> Sequence[Running]:
        """Run requests to their end."""
        running = {state.add.request_id: state for state in states}
        for state in states:
            self._engine.add(state.add)
        try:
            with _progress(sum(state.add.n for state in running.values()), shown=progress) as advance:
                while self._engine.has_work or self._engine.awaits:
                    for event in self._engine.step().events:
                        advance(self._take(running[event.request_id], event))
        finally:  # an error, or Ctrl-C: leave nothing behind
            for request_id in running:
                self._engine.cancel(Cancel(request_id))
        return states

    def _prepare(self, request: GenerationRequest) -> Running:
        wishes = request.sampling
        wishes.validate()
        drawing = replace(request, sampling=wishes.drawn)
        add = self._text.prepare(drawing, self.loaded)
        return Running(
            self._text, wishes, add, [Growing(reading) for reading in self._text.choices(drawing, add.prompt_ids)]
        )

    def _take(self, running: Running, event: TokenEvent) -> int:
        """Give an event to its request; returns how many choices it finished."""
        finished = running.take(event)
        if running.ended_by_text:
            self._engine.cancel(Cancel(event.request_id, event.choice))
        return finished


def _folder_of(name: str, *, weights: bool = True) -> Path:
    return demo_folder() if name == DEMO_NAME else resolve_model(name, weights=weights)


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
