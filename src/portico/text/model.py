"""The text side of one model: everything about it that is not weights."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from portico.config.text import TextOptions
from portico.errors import RequestError
from portico.protocol.events import TokenInfo, TokenText
from portico.protocol.messages import Add, Loaded, TokenLogprobs
from portico.protocol.request import CallWish, ChatPrompt, Embed, GenerationRequest, TextPrompt, TokenPrompt
from portico.protocol.sampling import Pooling, TokenParams
from portico.text import thinking
from portico.text.builtin import template_source
from portico.text.calling import Calling
from portico.text.choice import ChoiceText
from portico.text.defaults import SamplingDefaults, Seeds, resolve
from portico.text.grammar import compile_grammar, joined
from portico.text.grammar_trial import GrammarTrial
from portico.text.infill import Infill, no_infill
from portico.text.known import encode_after
from portico.text.messages import text_of
from portico.text.pooling import PoolingDefaults
from portico.text.reading import ChoiceEvents, ChoiceReading
from portico.text.reasoning import Reasoning, effort_variables
from portico.text.room import check_answer, check_beams, check_least, check_length, check_range, truncated
from portico.text.template import ChatTemplate
from portico.text.thinking import ThinkingFormat
from portico.text.tokenizer import Tokenizer
from portico.text.tools import registry
from portico.text.tools.format import Toolbox, ToolFormat
from portico.text.tools.lark import lark_text

log = logging.getLogger(__name__)

LONG_TOKEN = 4
"""Characters; a text with fewer for each token that it may have is encoded without looking at its size first."""
LONGEST_MARKER = 32
"""Tokens at a prompt's end that are looked at to see whether it leaves the thinking open."""


@dataclass(frozen=True, slots=True)
class TextModel:
    """Tokenizer, chat template and sampling defaults of a model folder."""

    tokenizer: Tokenizer
    template: ChatTemplate
    defaults: SamplingDefaults
    pooling: PoolingDefaults
    infill: Infill | None
    tool_format: ToolFormat | None
    """How the model writes tool calls, if that is known."""
    thinking_format: ThinkingFormat | None
    """How it marks what it thinks before it answers, if that is known."""
    stop_ids: tuple[int, ...] = ()
    """Tokens that end an answer besides the model's own."""
    seeds: Seeds = field(default_factory=lambda: Seeds(None))
    """For requests without a seed."""
    trial: GrammarTrial = field(default_factory=GrammarTrial)
    """Where grammars are compiled before the engine sees them."""

    @classmethod
    def load(cls, folder: str | Path, options: TextOptions = TextOptions()) -> TextModel:  # noqa: B008 - frozen
        """Read a model folder; CheckpointError if a file is missing or broken, ConfigError for a bad option."""
        beside = options.tokenizer or folder
        tokenizer = Tokenizer.load(beside, model_folder=folder, mode=options.tokenizer_mode)
        template = ChatTemplate.load(
            beside,
            tokenizer.special,
            source=options.chat_template,
            fallback=None if options.fallback_template is None else template_source(options.fallback_template),
            trust_requests=options.trust_request_templates,
        )
        return cls(
            tokenizer,
            template,
            SamplingDefaults.choose(options.generation_config, folder).but(options.generation_overrides),
            PoolingDefaults.load(folder, options.pooling),
            Infill.find(tokenizer),
            registry.choose(options.tool_call_parser, template.sources),
            thinking.choose(options.reasoning_parser, template.sources),
            _stop_ids(tokenizer, options.stop_words),
            Seeds(options.seed),
        )

    def prepare(self, request: GenerationRequest, limits: Loaded) -> Add:
        """The engine's message for a request; RequestError if it cannot be honoured. Takes time for long prompts."""
        sampling = request.sampling
        sampling.validate(request.max_tokens_param)
        sampling.validate_ids(limits.vocab_size)
        told = self.prompt_ids(request, limits.vocab_size, self._bound(request, limits.max_model_len))
        prompt_ids = truncated(told, sampling, limits.max_model_len)
        if not prompt_ids:
            raise RequestError("The prompt has no tokens.", param=request.prompt_param, code="empty_prompt")
        if request.embed is not None:
            pooling = self._pooling(request.embed, limits.hidden_size)
            check_length(prompt_ids, request.prompt_param, limits.max_model_len)
            return Add(request.request_id, prompt_ids, TokenParams(max_tokens=0, seed=0, pooling=pooling))
        reasoning = self._reasoning(request, prompt_ids)
        room = check_answer(
            sampling,
            len(prompt_ids),
            limits.max_model_len,
            max_tokens_param=request.max_tokens_param,
            prompt_param=request.prompt_param,
            cut=request.cut_to_context,
        )
        params = resolve(
            sampling,
            self.defaults,
            seeds=self.seeds,
            room=room,
            bad_words=[ids for word in sampling.bad_words for ids in self._spellings(word)],
            eos_token_ids=self._end_ids(request),
            grammar=self._grammar(request, reasoning),
            thinking=None if reasoning is None else reasoning.limit(self.tokenizer),
        )
        if params.beams is not None:
            check_beams(params.beams.width, len(prompt_ids) + params.max_tokens, request.max_tokens_param, limits)
        return Add(request.request_id, prompt_ids, params, sampling.n)

    def choices(self, request: GenerationRequest, prompt_ids: Sequence[int]) -> list[ChoiceReading]:
        """A fresh state from tokens to events for each choice of a request that `prepare` has seen."""
        calling = Calling.of(request, self.tool_format) or self._framing(request)
        reasoning = self._reasoning(request, prompt_ids)
        wish = request.prompt.thinking if isinstance(request.prompt, ChatPrompt) else None
        shows_thinking = wish is not None and wish.shown
        return [
            ChoiceReading(
                self._choice_text(request, calling, reasoning),
                _events(choice, calling, reasoning, shows_thinking),
                self.token_infos,
            )
            for choice in range(request.sampling.n)
        ]

    @property
    def frame(self) -> ToolFormat | None:
        """The form in which the model writes answers from beginning to end, if there is one."""
        if self.tool_format is not None and self.tool_format.frames:
            return self.tool_format
        return None if self.thinking_format is None else self.thinking_format.frame

    def _framing(self, request: GenerationRequest) -> Calling | None:
        """How an answer without tools is read where it is framed all the same."""
        if self.frame is None or not isinstance(request.prompt, ChatPrompt):
            return None
        return Calling(self.frame, Toolbox({}), CallWish())

    def _choice_text(
        self, request: GenerationRequest, calling: Calling | None, reasoning: Reasoning | None
    ) -> ChoiceText:
        sampling, prompt = request.sampling, request.prompt
        parts = [part for part in (calling, reasoning) if part is not None]
        shown = [token_id for part in parts for token_id in part.shown(self.tokenizer)]
        detokenizer = self.tokenizer.detokenizer(
            skip_special_tokens=sampling.skip_special_tokens,
            spaces_between_special_tokens=sampling.spaces_between_special_tokens,
            continues=not isinstance(prompt, ChatPrompt) or prompt.layout.continue_final_message,
            shown=shown,
        )
        return ChoiceText(
            detokenizer,
            sampling.stop,
            min_tokens=sampling.min_tokens,
            include_stop=sampling.include_stop_str_in_output,
        )

    def _reasoning(self, request: GenerationRequest, prompt_ids: Sequence[int]) -> Reasoning | None:
        if not isinstance(request.prompt, ChatPrompt):
            return None
        prompt_end = self.tokenizer.decode(prompt_ids[-LONGEST_MARKER:], skip_special_tokens=False)
        return Reasoning.of(request, self.thinking_format, prompt_end)

    def echo(self, prompt_ids: Sequence[int], request: GenerationRequest) -> str:
        """The prompt as text, as the model sees it; where a gap is filled, what stands before the gap.

        Of a conversation it is the last message, if that and the answer are of one role; as in vLLM.
        """
        if isinstance(request.prompt, ChatPrompt):
            last = request.prompt.messages[-1]
            alike = not request.prompt.layout.add_generation_prompt or last.get("role") == "assistant"
            return text_of(last) if alike else ""
        if isinstance(request.prompt, TextPrompt) and request.prompt.suffix:
            return request.prompt.text
        return self.tokenizer.decode(prompt_ids, skip_special_tokens=request.sampling.skip_special_tokens)

    def text(self, token_ids: Sequence[int], vocab_size: int) -> str:
        """What tokens stand for, special ones included; RequestError for one that the model does not have."""
        check_range(token_ids, vocab_size, "tokens")
        return self.tokenizer.decode(token_ids, skip_special_tokens=False)

    def token_infos(self, token_ids: Sequence[int], logprobs: Sequence[TokenLogprobs], said: int) -> list[TokenInfo]:
        """Tokens with their log-probabilities, as text; the first `said` of them are part of the answer's."""
        infos = []
        for place, (token_id, told) in enumerate(zip(token_ids, logprobs, strict=True)):
            top = [self._token_text(other, value) for other, value in zip(told.top_ids, told.top, strict=True)]
            infos.append(TokenInfo(self._token_text(token_id, told.logprob), top, told.rank, place < said))
        return infos

    def prompt_infos(self, prompt_ids: Sequence[int], logprobs: Sequence[TokenLogprobs]) -> list[TokenInfo]:
        """The prompt's tokens; of the first nothing is known."""
        first = TokenInfo(self._token_text(prompt_ids[0], None), [], None)
        infos = [first, *self.token_infos(prompt_ids[1:], logprobs, len(prompt_ids))]
        return [replace(info, prompt=True) for info in infos]

    def _token_text(self, token_id: int, logprob: float | None) -> TokenText:
        return TokenText(token_id, self.tokenizer.bytes_of(token_id), logprob)

    def _pooling(self, wish: Embed, hidden_size: int) -> Pooling:
        if self.pooling.problem is not None:
            raise RequestError(
                f"This model's embeddings cannot be made here: {self.pooling.problem}.",
                param="model",
                code="unsupported",
            )
        if wish.dimensions is not None and not 1 <= wish.dimensions <= hidden_size:
            raise RequestError(
                f"dimensions is {wish.dimensions}; it must be from 1 to {hidden_size}, this model's hidden size.",
                param="dimensions",
                code="invalid_value",
            )
        return Pooling(self.pooling.kind, self.pooling.normalize or wish.dimensions is not None, wish.dimensions)

    def _spellings(self, word: str) -> list[list[int]]:
        """The tokens of a bad word at the start of a text, and behind a space if they differ in their first only."""
        bare, spaced = (
            self.tokenizer.encode(prefix + word.lstrip(), add_special_tokens=False, param="bad_words")
            for prefix in ("", " ")
        )
        return [bare, spaced] if len(bare) == len(spaced) and bare[0] != spaced[0] else [bare]

    def _bound(self, request: GenerationRequest, max_model_len: int) -> Callable[[str], None]:
        """What refuses a text that is not encoded yet and far too long: encoding megabytes takes seconds."""

        def look(text: str) -> None:
            if request.sampling.truncate_prompt_tokens is None and len(text) > LONG_TOKEN * max_model_len:
                least = self.tokenizer.at_least(text)
                check_least(least, max_model_len, prompt_param=request.prompt_param, answers=request.embed is None)

        return look

    def prompt_ids(
        self, request: GenerationRequest, vocab_size: int, look: Callable[[str], None] = lambda text: None
    ) -> list[int]:
        """The tokens of a prompt; RequestError if it cannot be laid out or encoded.

        That may be any number of them, but that `look`, which is shown each text before it is encoded, can refuse it.
        """
        match request.prompt:
            case ChatPrompt() as prompt:
                # The template writes BOS and the like itself.
                special = bool(request.sampling.add_special_tokens)
                known = None if special else prompt.known
                text = self.laid_out(prompt)
                look(text if known is None else text[len(known.text) :])
                return encode_after(known, text, self.tokenizer, special, request.prompt_param)
            case TextPrompt(text, suffix):
                special = request.sampling.add_special_tokens is not False
                look(text + suffix if suffix else text)
                if suffix:
                    return self._with_gap(text, suffix, special, request)
                return self.tokenizer.encode(text, add_special_tokens=special, param=request.prompt_param)
            case TokenPrompt(token_ids):
                check_range(token_ids, vocab_size, request.prompt_param)
                return list(token_ids)

    def laid_out(self, prompt: ChatPrompt) -> str:
        """The text that a conversation becomes; RequestError if the template refuses it."""
        self.template.check_tools(prompt.messages, prompt.tools, prompt.layout)
        reads = self.template.variables(prompt.tools, prompt.layout)
        effort = effort_variables(prompt.thinking, reads, self.thinking_format)
        told = replace(prompt.layout, variables={**effort, **prompt.layout.variables})
        return self.template.render(prompt.messages, prompt.tools, told)

    def _with_gap(self, prefix: str, suffix: str, special: bool, request: GenerationRequest) -> list[int]:
        if self.infill is None:
            raise no_infill()
        if request.sampling.truncate_prompt_tokens is not None:
            raise RequestError(
                "truncate_prompt_tokens cuts off the start of a prompt, without which suffix means nothing; leave one "
                "of them out.",
                param="truncate_prompt_tokens",
                code="invalid_value",
            )
        return self.infill.prompt_ids(prefix, suffix, add_special_tokens=special, param=request.prompt_param)

    def _grammar(self, request: GenerationRequest, reasoning: Reasoning | None) -> str | None:
        """What the answer is held to, behind its thinking if there may be any."""
        calling, guided = Calling.of(request, self.tool_format), request.sampling.guided
        grammar = None if guided is None else compile_grammar(guided)
        framing = self._framing(request)
        if grammar is not None and framing is not None:
            begin = lark_text(framing.form.answers, self.tokenizer.control_id)
            grammar = joined(f"start: {begin} @form", {"form": grammar})
        if calling is not None:
            grammar = calling.grammar(self.tokenizer, grammar)
        if grammar is None:
            return None
        self.trial.check(grammar, "tools" if guided is None else guided.field)
        return grammar if reasoning is None else reasoning.before(grammar, self.tokenizer)

    def _end_ids(self, request: GenerationRequest) -> tuple[int, ...]:
        own = tuple(dict.fromkeys((*self.tokenizer.eos_token_ids, *self.stop_ids)))
        if isinstance(request.prompt, TextPrompt) and request.prompt.suffix and self.infill is not None:
            return tuple(dict.fromkeys((*own, *self.infill.end_ids)))
        return own


def _stop_ids(tokenizer: Tokenizer, words: Sequence[str]) -> tuple[int, ...]:
    ids = {word: tokenizer.id_of(word) for word in words}
    for word in (word for word, token_id in ids.items() if token_id is None):
        log.warning("The stop word %r of the chat template is not one token of this model and ends nothing.", word)
    return tuple(token_id for token_id in ids.values() if token_id is not None)


def _events(choice: int, calling: Calling | None, reasoning: Reasoning | None, shows_thinking: bool) -> ChoiceEvents:
    return ChoiceEvents(
        choice,
        thinking=None if reasoning is None or reasoning.form.frame is not None else reasoning.reader(),
        shows_thinking=shows_thinking,
        tools=None if calling is None else calling.reader(),
        new_id=str if calling is None else calling.form.new_id,
    )
