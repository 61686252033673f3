"""How tokens are to be drawn: as asked by a person (`SamplingParams`) and as the engine obeys it (`TokenParams`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import msgspec

from portico.errors import RequestError
from portico.protocol.limits import LIMITS


class Guided(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer must look like, as it was asked for."""

    kind: Literal["json", "regex", "choice", "lark"]
    value: str
    """The JSON schema, the regular expression, a JSON list of the choices, or the Lark grammar."""
    whitespace: str | None = None
    """Regular expression of the whitespace between the parts of JSON."""
    field: str = "guided"
    """The field that asks for it, for error messages."""


class Grammar(msgspec.Struct, frozen=True, array_like=True):
    """What an answer must look like, as the engine follows it."""

    text: str
    """In llguidance's form."""
    eos_token_ids: tuple[int, ...]
    """What may come once the answer is complete."""


class ThinkingLimit(msgspec.Struct, frozen=True, array_like=True):
    """Where thinking that goes on is ended, by tokens that must come then."""

    budget: int
    """Tokens of thinking, without the marker that begins it."""
    begin: tuple[int, ...]
    """The marker that begins it in the answer; empty: it has begun in the prompt."""
    end: tuple[int, ...]


class Beams(msgspec.Struct, frozen=True, array_like=True):
    """How to search for the likeliest answers instead of drawing them."""

    width: int
    length_penalty: float
    """Power of an answer's length by which its log-probability is divided before answers are compared."""
    early_stopping: bool | Literal["never"]
    """True: stop at `width` answers. False: when no better one is likely. "never": when no better one is possible."""


class Pooling(msgspec.Struct, frozen=True, array_like=True):
    """How the hidden states of a text become one vector."""

    kind: Literal["last", "mean", "first"]
    """That of the last or the first token, or the mean over all."""
    normalize: bool
    """Whether its length becomes 1, after it is cut to `dimensions`."""
    dimensions: int | None = None
    """Leading components to keep; None: all."""


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True):
    """What a request may ask of generation; None means the model's own default (generation_config.json), then neutral.

    `temperature` 0 is greedy. `top_k` 0 or -1 keeps the whole vocabulary. `presence_penalty` and `frequency_penalty`
    look at the tokens generated so far; `repetition_penalty` looks at prompt and generated tokens alike (Keskar et al.
    2019, arXiv:1909.05858). `max_tokens` None means what is left of the context. The same `seed` gives the same tokens
    whatever else the server does.

    `best_of` draws so many choices and gives the `n` of the highest log-probability a token, best first.

    Before `min_tokens` tokens nothing that would end the answer is drawn, and stop strings are not looked for. A token
    of `stop_token_ids` ends the answer; its text, like that of a stop string, belongs to the answer only with
    `include_stop_str_in_output`. `allowed_token_ids` leaves no other tokens; `bad_words` are never completed, whether
    they begin a word or follow a space; `logit_bias` is added to the logits of its tokens. `truncate_prompt_tokens`
    keeps that many tokens from the prompt's end, -1 as many as the context holds with `max_tokens`.
    `add_special_tokens` None means: for plain text yes, behind a chat template no.

    `logprobs` asks for the log-probability of each token, and of so many of the likeliest in its place, in the model's
    own distribution: before penalties, biases and temperature. `prompt_logprobs` asks the same of the prompt's tokens
    but the first. With it `max_tokens` may be 0: the prompt is read and nothing is generated.

    `num_beams` searches for the `n` likeliest answers instead of drawing them, with so many beams; results are those
    of transformers' beam search. `temperature`, `top_p`, `top_k`, `min_p` and `seed` say how to draw and have no part
    in it; stop strings cut answers that are found, not beams. Answers are compared by the sum of the log-probabilities
    of their tokens divided by (number of tokens) ** `length_penalty`. With `early_stopping` the search ends as soon as
    there are `num_beams` answers, without it when a better one is not likely, with "never" when none is possible.

    With `cache_salt` the prompt's keys and values are shared only with requests that have the same one, so that
    nobody else can find out by the time to the first token what was asked before.

    `guided` leaves only tokens that go on towards an answer of the wanted form, and its end once it is complete.
    """

    n: int = 1
    best_of: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    typical_p: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    include_stop_str_in_output: bool = False
    min_tokens: int = 0
    ignore_eos: bool = False
    logit_bias: Mapping[int, float] = {}
    allowed_token_ids: tuple[int, ...] | None = None
    bad_words: tuple[str, ...] = ()
    skip_special_tokens: bool = True
    spaces_between_special_tokens: bool = True
    truncate_prompt_tokens: int | None = None
    add_special_tokens: bool | None = None
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    num_beams: int | None = None
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    guided: Guided | None = None
    cache_salt: str = ""

    def validate(self, max_tokens_param: str = "max_tokens") -> None:
        """Raise RequestError, naming the field and its range, at the first value out of range."""
        _require(1 <= self.n <= LIMITS.choices, "n", self.n, f"from 1 to {LIMITS.choices}")
        if self.best_of is not None:
            right = f"from n, {self.n}, to {LIMITS.choices}"
            _require(self.n <= self.best_of <= LIMITS.choices, "best_of", self.best_of, right)
            _require(self.num_beams is None, "best_of", self.best_of, "left out with num_beams")
        self._validate_beams()
        if self.max_tokens is not None:
            least = 1 if self.prompt_logprobs is None else 0
            _require(self.max_tokens >= least, max_tokens_param, self.max_tokens, f"at least {least}")
            answers = max(self.n, self.best_of or 0, self.num_beams or 0)
            right = f"at most {LIMITS.answer_tokens // answers} for {answers} answers or beams"
            _require(answers * self.max_tokens <= LIMITS.answer_tokens, max_tokens_param, self.max_tokens, right)
        _require_range("temperature", self.temperature, 0.0, 2.0)
        _require_range("top_p", self.top_p, 0.0, 1.0, open_low=True)
        _require_range("min_p", self.min_p, 0.0, 1.0)
        _require_range("typical_p", self.typical_p, 0.0, 1.0, open_low=True)
        if self.top_k is not None:
            _require(self.top_k >= -1, "top_k", self.top_k, "-1 or 0 (all tokens), or at least 1")
        _require_range("presence_penalty", self.presence_penalty, -2.0, 2.0)
        _require_range("frequency_penalty", self.frequency_penalty, -2.0, 2.0)
        _require_range("repetition_penalty", self.repetition_penalty, 0.001, 1000.0)  # so that logits stay finite
        if self.seed is not None:
            _require(-(2**63) <= self.seed < 2**64, "seed", self.seed, "a 64-bit integer")
        longest = LIMITS.salt_characters
        _require(
            len(self.cache_salt) <= longest,
            "cache_salt",
            f"{len(self.cache_salt)} characters long",
            f"at most {longest}",
        )
        self._validate_tokens()
        if self.guided is not None:
            _require(
                not self.ignore_eos, "ignore_eos", "true", f"false with {self.guided.field}, which says where to end"
            )
        most_stops = LIMITS.entries["stop"]
        _require(len(self.stop) <= most_stops, "stop", len(self.stop), f"at most {most_stops} strings")
        _require(all(self.stop), "stop", "''", "non-empty strings")

    @property
    def drawn(self) -> SamplingParams:
        """The same with a choice for each that is to be drawn, scored if the best are to be found."""
        if self.best_of in (None, self.n):
            return self
        logprobs = 0 if self.logprobs is None else self.logprobs
        return msgspec.structs.replace(self, n=self.best_of, best_of=None, logprobs=logprobs)

    def _validate_beams(self) -> None:
        _require_range("length_penalty", self.length_penalty, -10.0, 10.0)
        if self.num_beams is None:
            _require(self.length_penalty == 1, "length_penalty", self.length_penalty, "1 without beam search")
            _require(self.early_stopping is False, "early_stopping", self.early_stopping, "false without beam search")
            return
        _require(
            self.n <= self.num_beams <= LIMITS.beams,
            "num_beams",
            self.num_beams,
            f"from n, {self.n}, to {LIMITS.beams}",
        )
        _require(
            isinstance(self.early_stopping, bool) or self.early_stopping == "never",
            "early_stopping",
            repr(self.early_stopping),
            'true, false or "never"',
        )

    def _validate_tokens(self) -> None:
        most = LIMITS.answer_tokens if self.max_tokens is None else self.max_tokens
        right = f"from 0 to {most}" if self.max_tokens is None else f"from 0 to max_tokens, {most}"
        _require(0 <= self.min_tokens <= most, "min_tokens", self.min_tokens, right)
        biases, words = LIMITS.entries["logit_bias"], LIMITS.entries["bad_words"]
        _require(len(self.logit_bias) <= biases, "logit_bias", len(self.logit_bias), f"at most {biases} tokens")
        for token_id, bias in self.logit_bias.items():
            _require_range(f"logit_bias.{token_id}", bias, -100.0, 100.0)
        for field, count in (("logprobs", self.logprobs), ("prompt_logprobs", self.prompt_logprobs)):
            _require(count is None or 0 <= count <= LIMITS.logprobs, field, count, f"from 0 to {LIMITS.logprobs}")
        _require(self.allowed_token_ids != (), "allowed_token_ids", "[]", "a list with at least one token")
        _require(len(self.bad_words) <= words, "bad_words", len(self.bad_words), f"at most {words} words")
        longest = max(map(len, self.bad_words), default=0)
        right = f"at most {LIMITS.word_characters} characters a word"
        _require(longest <= LIMITS.word_characters, "bad_words", f"{longest} characters long", right)
        _require(all(word.strip() for word in self.bad_words), "bad_words", "''", "words that are not empty")
        if self.truncate_prompt_tokens is not None:
            keep = self.truncate_prompt_tokens
            _require(
                keep == -1 or keep >= 1, "truncate_prompt_tokens", keep, "-1 (what the context holds), or at least 1"
            )

    def validate_ids(self, vocab_size: int) -> None:
        """Raise RequestError at the first token id that the model does not have."""
        listed = {"stop_token_ids": self.stop_token_ids, "allowed_token_ids": self.allowed_token_ids or ()}
        for field, token_ids in (*listed.items(), ("logit_bias", tuple(self.logit_bias))):
            for token_id in token_ids:
                _require(0 <= token_id < vocab_size, field, token_id, f"a token id from 0 to {vocab_size - 1}")


class TokenParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of a request's wishes that the engine obeys: every value resolved, tokens only, no text."""

    max_tokens: int
    seed: int
    """64-bit unsigned; the draw for output position p of choice c depends on (seed, c, p) alone."""
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    """0 keeps the whole vocabulary."""
    min_p: float = 0.0
    typical_p: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    stop_token_ids: tuple[int, ...] = ()
    """Tokens that end the sequence; without end-of-sequence when the request ignores it."""
    min_tokens: int = 0
    """Output tokens before which no stop token is drawn."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    allowed_token_ids: tuple[int, ...] = ()
    """The only tokens that may be drawn; empty: all."""
    bad_words: tuple[tuple[int, ...], ...] = ()
    """Token sequences whose last token is not drawn after the others."""
    logprobs: int | None = None
    """How many of the likeliest tokens to report beside each drawn one; None: report nothing."""
    prompt_logprobs: int | None = None
    """The same for the tokens of the prompt but its first."""
    grammar: Grammar | None = None
    thinking: ThinkingLimit | None = None
    beams: Beams | None = None
    """Search instead of drawing."""
    pooling: Pooling | None = None
    """Give the prompt's vector; with it max_tokens is 0."""
    cache_salt: str = ""
    """Blocks are shared with those that have the same one."""


def _require(holds: bool, field: str, value: object, right: str) -> None:
    if not holds:
        raise RequestError(f"{field} is {value}; it must be {right}.", param=field, code="invalid_value")


def _require_range(field: str, value: float | None, low: float, high: float, *, open_low: bool = False) -> None:
    if value is None:
        return
    above = value > low if open_low else value >= low
    bound = f"above {low:g}" if open_low else f"at least {low:g}"
    right = bound if math.isinf(high) else f"{bound} and at most {high:g}"
    _require(math.isfinite(value) and above and value <= high, field, value, right)
