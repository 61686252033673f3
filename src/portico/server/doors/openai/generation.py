"""What the bodies of both kinds of completion share: OpenAI's fields, and those of vLLM and others beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from portico.errors import RequestError
from portico.protocol.limits import LIMITS
from portico.protocol.sampling import SamplingParams
from portico.server.doors.openai.guided import read_guided

Body = TypeVar("Body", bound=BaseModel)
ID_DIGITS = 20
"""More than any token id has: Python refuses to read thousands of them."""


class StreamOptions(BaseModel):
    """What a stream carries besides the text."""

    model_config = ConfigDict(strict=True, extra="allow")

    include_usage: bool | None = Field(None, description="End the stream with a chunk that has only `usage`.")
    continuous_usage_stats: bool | None = Field(
        None, description="With include_usage: each chunk has `usage` too, of what the answer has cost so far."
    )


class DebugConfig(BaseModel):
    """MLC LLM's."""

    model_config = ConfigDict(strict=True, extra="allow")

    ignore_eos: bool | None = Field(None, description="Go on to max_tokens: past the end of text and past `stop`.")


class GenerationBody(BaseModel):
    """The fields that both kinds of completion share; a field left out means the model's own default."""

    model_config = ConfigDict(strict=True, extra="allow")

    model: str | None = Field(
        None,
        description="A name from GET /v1/models, another is a 404; default: the served model.",
        examples=["my-model"],
    )
    max_tokens: int | None = Field(
        None,
        ge=0,
        description="Tokens that an answer may have. Default: 16 for completions, what is left of the context for "
        "chat. 0 with echo or prompt_logprobs: nothing is generated.",
        examples=[64],
    )
    temperature: float | None = Field(
        None,
        description="0 (always the likeliest token) to 2. Default: the model's generation_config.json, then 1.",
        examples=[0.7],
    )
    top_p: float | None = Field(
        None,
        description="Keep the likeliest tokens that sum up to this, above 0 to 1. Default: the model's, then 1.",
    )
    top_k: int | None = Field(
        None,
        description="Keep this many of the likeliest tokens; 0 or -1 keeps all. Default: the model's, then all.",
    )
    min_p: float | None = Field(
        None,
        description="Drop tokens less likely than this share of the likeliest, 0 to 1. Default: the model's, then 0.",
    )
    typical_p: float | None = Field(
        None,
        description="Keep the tokens whose information is nearest to what is expected, as many as sum up to this, "
        "above 0 to 1; after top_k, top_p and min_p. Default: the model's, then 1 (all).",
    )
    stop: str | list[str] | None = Field(
        None,
        description="Up to 16 strings that end an answer and are not part of it; found across token borders.",
        examples=[["\n\n"]],
    )
    seed: int | None = Field(
        None, description="The same seed and request give the same answer; 64 bits. Default: one is drawn."
    )
    n: int | None = Field(None, description="Answers for each prompt, 1 to 128; default: 1.")
    best_of: int | None = Field(
        None,
        description="Draw so many answers, n to 128, and give the n of the highest log-probability a token, best "
        "first; not with stream. With use_beam_search: the number of beams.",
    )
    use_beam_search: bool | None = Field(
        None,
        description="Search for the n likeliest answers instead of drawing them, as transformers does; temperature, "
        "top_p, top_k, min_p, typical_p and seed have no part in it. A stream gets the answers whole, at the end.",
    )
    num_beams: int | None = Field(
        None, description="n to 64: beams of the search; above 1 it asks for one. Default: best_of, then n."
    )
    length_penalty: float | None = Field(
        None,
        description="-10 to 10, default 1: answers of a beam search are compared by their log-probability divided by "
        "(number of tokens) to this power.",
    )
    early_stopping: bool | Literal["never"] | None = Field(
        None,
        description="When a beam search ends: true, as soon as there are as many answers as beams; false (default), "
        'when a better one is not likely; "never", when none is possible.',
    )
    stream: bool | None = Field(None, description="Send the answer in pieces as server-sent events.")
    stream_options: StreamOptions | None = Field(None, description="Only with `stream`.")
    presence_penalty: float | None = Field(
        None, description="-2 to 2, default 0; subtracted from the logits of tokens that the answer has used."
    )
    frequency_penalty: float | None = Field(
        None,
        description="-2 to 2, default 0; subtracted from the logit of a token for each time that the answer has "
        "used it.",
    )
    repetition_penalty: float | None = Field(
        None,
        description="Above 0; divides the positive logits of what prompt and answer have used, multiplies the "
        "negative. Default: the model's, then 1.",
    )
    stop_token_ids: list[int] | None = Field(None, description="Token ids that end an answer, besides the model's own.")
    include_stop_str_in_output: bool | None = Field(
        None, description="Let the stop string or token that ended an answer be part of it."
    )
    min_tokens: int | None = Field(
        None,
        description="0 to max_tokens, default 0: before so many tokens no end-of-sequence or stop token is drawn and "
        "no stop string looked for.",
    )
    min_new_tokens: int | None = Field(None, description="LMDeploy's name for min_tokens.")
    ignore_eos: bool | None = Field(None, description="Go on after the model's end of text, up to max_tokens.")
    debug_config: DebugConfig | None = Field(
        None,
        description="`{ignore_eos: true}`: go on after the model's end of text and after stop strings and tokens, up "
        "to max_tokens. Its other fields are refused unless they ask for nothing.",
    )
    logit_bias: dict[str, float] | None = Field(
        None,
        description="Token id to -100 to 100, added to the logits before penalties and temperature; up to 1024 tokens.",
        examples=[{"42": -100}],
    )
    allowed_token_ids: list[int] | None = Field(None, description="The only token ids that may be drawn.")
    bad_words: list[str] | None = Field(
        None, description="Up to 1024 words that an answer never completes, with a space before them or without."
    )
    skip_special_tokens: bool | None = Field(None, description="Leave special tokens out of the text (default: true).")
    spaces_between_special_tokens: bool | None = Field(
        None,
        description="With skip_special_tokens false: false takes away the space that the tokenizer's decoder writes "
        "between two added tokens which follow one another; most decoders (byte-level BPE, SentencePiece) write none. "
        "true (default): what the decoder writes.",
    )
    truncate_prompt_tokens: int | None = Field(
        None, description="Keep this many tokens from the prompt's end; -1: what fits with max_tokens."
    )
    add_special_tokens: bool | None = Field(
        None, description="Add the tokenizer's own (BOS) to the prompt; default: to plain text, not behind a template."
    )
    prompt_logprobs: int | None = Field(
        None,
        description="0 to 20 (--max-logprobs): log-probabilities of the prompt's tokens and of so many of the "
        "likeliest, by token id; not with stream. Such a prompt is computed whole, known prefix or not.",
    )
    response_format: dict[str, Any] | None = Field(
        None,
        description="`{type: text}`, `{type: json_object}` (with MLC LLM's `schema` if wanted), `{type: json_schema, "
        "json_schema: {schema: …}}` or LMDeploy's `{type: regex_schema, regex_schema: …}`. What the schema cannot have "
        "honoured is a 400 that names the keyword.",
        examples=[{"type": "json_object"}],
    )
    structured_outputs: dict[str, Any] | None = Field(
        None, description="One of `json`, `regex`, `choice`, `grammar` and `json_object`, with `whitespace_pattern`."
    )
    guided_json: dict[str, Any] | str | None = Field(None, description="A JSON schema that the answer matches.")
    guided_regex: str | None = Field(None, description="A regular expression that the answer matches.")
    guided_choice: list[str] | None = Field(None, description="The answer is one of these.")
    guided_grammar: str | None = Field(None, description="A grammar of the answer, in Lark's form or in GBNF.")
    guided_whitespace_pattern: str | None = Field(
        None, description="What may stand between the parts of JSON; default: one space or none."
    )
    guided_decoding_backend: str | None = Field(None, description="Accepted; there is one backend, llguidance.")
    return_tokens_as_token_ids: bool | None = Field(
        None, description='With logprobs: tokens as "token_id:17", which are unique where texts are not.'
    )
    return_token_ids: bool | None = Field(
        None,
        description="Tell the tokens too: those of the prompt as `prompt_token_ids`, those of an answer or a chunk as "
        "`token_ids` and `output_ids`.",
    )
    session_id: int | None = Field(
        None,
        description="A name for the request, by which `cancel` of `/v1/chat/interactive` ends it; -1: none. That of a "
        "conversation that the server keeps is a 400: it goes on at `/v1/chat/interactive` only.",
    )
    cache_salt: str | None = Field(
        None,
        description="Up to 256 characters: what is computed of the prompt is shared only with requests that have the "
        "same, so that nobody else can tell by its time to first token what was asked before. Default: with all.",
    )
    priority: int | None = Field(
        None,
        description="Lower comes first among the waiting requests of the same API key; of the keys of "
        "--priority-keys, among those of all keys. Default: 0.",
    )
    user: str | None = Field(None, description="Accepted; has no effect.")
    metadata: dict[str, Any] | None = Field(None, description="Accepted; has no effect.")

    def sampling(self, max_tokens: int | None, logprobs: int | None, prompt_logprobs: int | None) -> SamplingParams:
        """The request's wishes, ranges not yet checked."""
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        stop_ids = self.stop_token_ids or []
        endless = self.debug_config is not None and bool(self.debug_config.ignore_eos)
        if endless:
            stop, stop_ids = [], []
        return SamplingParams(
            n=self.drawn,
            max_tokens=max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            typical_p=self.typical_p,
            presence_penalty=self.presence_penalty or 0.0,
            frequency_penalty=self.frequency_penalty or 0.0,
            repetition_penalty=self.repetition_penalty,
            seed=self.seed,
            stop=tuple(stop),
            stop_token_ids=tuple(stop_ids),
            include_stop_str_in_output=bool(self.include_stop_str_in_output),
            min_tokens=self._min_tokens(),
            ignore_eos=endless or bool(self.ignore_eos),
            logit_bias=_token_biases(self.logit_bias or {}),
            allowed_token_ids=None if self.allowed_token_ids is None else tuple(self.allowed_token_ids),
            bad_words=tuple(self.bad_words or ()),
            skip_special_tokens=self.skip_special_tokens is not False,
            spaces_between_special_tokens=self.spaces_between_special_tokens is not False,
            truncate_prompt_tokens=self.truncate_prompt_tokens,
            add_special_tokens=self.add_special_tokens,
            logprobs=0 if logprobs is None and self.drawn > self.kept else logprobs,
            prompt_logprobs=prompt_logprobs,
            num_beams=self.beams,
            length_penalty=1.0 if self.length_penalty is None else self.length_penalty,
            early_stopping=self.early_stopping or False,
            guided=read_guided(self),
            cache_salt=self.cache_salt or "",
        )

    @property
    def kept(self) -> int:
        """Answers to give for each prompt."""
        return 1 if self.n is None else self.n

    @property
    def beams(self) -> int | None:
        """Beams to search with; None: draw."""
        if not self.use_beam_search and self.num_beams in (None, 1):
            return None
        given = {name: getattr(self, name) for name in ("num_beams", "best_of") if getattr(self, name) is not None}
        if len(set(given.values())) > 1:
            raise RequestError(
                f"num_beams is {self.num_beams} and best_of is {self.best_of}; with beam search they are two names of "
                "one parameter: give one.",
                param="best_of",
                code="invalid_value",
            )
        return next(iter(given.values()), self.kept)

    @property
    def drawn(self) -> int:
        """Answers to draw for each prompt; RequestError if they are too few, too many, or to be streamed."""
        if self.best_of is None or self.best_of == self.kept or self.beams is not None:
            return self.kept
        if not self.kept <= self.best_of <= LIMITS.choices or self.stream:
            right = (
                f"from n, {self.kept}, to {LIMITS.choices}"
                if not self.stream
                else f"n, {self.kept}, when stream is true"
            )
            raise RequestError(f"best_of is {self.best_of}; it must be {right}.", param="best_of", code="invalid_value")
        return self.best_of

    def _min_tokens(self) -> int:
        names = {"min_tokens": self.min_tokens, "min_new_tokens": self.min_new_tokens}
        given = {name: value for name, value in names.items() if value is not None}
        if len(set(given.values())) > 1:
            raise RequestError(
                f"min_tokens is {self.min_tokens} and min_new_tokens is {self.min_new_tokens}; they are two names of "
                "one parameter: give one.",
                param="min_new_tokens",
                code="invalid_value",
            )
        return next(iter(given.values()), 0)

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    def names_ids(self, unsaid: bool) -> bool:
        """Whether tokens are named by their ids in log-probabilities."""
        return unsaid if self.return_tokens_as_token_ids is None else self.return_tokens_as_token_ids

    @property
    def usage_in_chunks(self) -> bool:
        return self.include_usage and bool(self.stream_options and self.stream_options.continuous_usage_stats)


def with_defaults(body: Body, defaults: Mapping[str, float]) -> Body:
    """The body with these fields where it leaves them out."""
    missing = {name: value for name, value in defaults.items() if getattr(body, name) is None}
    return body.model_copy(update=missing) if missing else body


def _token_biases(given: Mapping[str, float]) -> dict[int, float]:
    """JSON has string keys only."""
    biases = {}
    for name, bias in given.items():
        if not (name.isascii() and name.isdecimal() and len(name) < ID_DIGITS):
            raise RequestError(
                f"logit_bias has the key {name[:40]!r}; keys must be token ids.",
                param="logit_bias",
                code="invalid_value",
            )
        biases[int(name)] = bias
    return biases
