"""POST /v1/completions."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from portico.errors import RequestError
from portico.protocol.limits import LIMITS
from portico.protocol.request import ChatPrompt, GenerationRequest, Prompt, Terms, TextPrompt, TokenPrompt
from portico.protocol.sampling import SamplingParams
from portico.server.body import read_body
from portico.server.describe import describe
from portico.server.doors.openai.answer import Call, answer
from portico.server.doors.openai.answer_schema import Completion, CompletionChunk
from portico.server.doors.openai.chunks import COMPLETION
from portico.server.doors.openai.generation import with_defaults
from portico.server.doors.openai.logprobs import CompletionLogprobs, completion_count, prompt_count
from portico.server.doors.openai.params import COMPLETION_ONLY, check_fields
from portico.server.doors.openai.schema import CompletionRequest
from portico.server.middleware import context_of
from portico.server.service import Service
from portico.text.whole import WholeChoice


def router(service: Service) -> APIRouter:
    """The route of completions."""
    routes = APIRouter(tags=["openai"])

    @routes.post("/v1/completions", **describe(CompletionRequest, Completion, CompletionChunk))
    async def create_completion(http: Request) -> Response:
        """Continue one or more prompts."""
        body = await read_body(http, CompletionRequest)
        request_id = context_of(http.scope).rename("cmpl")
        call = _understand(body, request_id, service, service.terms(http, body.priority))
        return await answer(http, call, service, form=COMPLETION, choice_body=_choice)

    return routes


def _understand(body: CompletionRequest, request_id: str, service: Service, terms: Terms) -> Call:
    model = service.resolve_model(body.model)
    body = with_defaults(body, service.dialect.defaults)
    ignored = check_fields(body, COMPLETION_ONLY, service)
    prompts: list[tuple[str, Prompt]] = [*read_prompts(body.prompt, suffix=body.suffix or "")]
    if service.dialect.instructions:
        prompts = [(param, _instruction(prompt, body)) for param, prompt in prompts]
    logprobs = completion_count(body.logprobs, service.settings.max_logprobs)
    if body.suffix and body.echo and logprobs is not None:
        raise RequestError(
            "echo is true with logprobs and suffix: the model reads the suffix before it fills the gap, so the tokens "
            "it reads are not those of the text. Leave echo out; prompt_logprobs shows them.",
            param="echo",
            code="invalid_value",
        )
    prompt_logprobs = prompt_count(body.prompt_logprobs, bool(body.stream), service.settings.max_logprobs)
    max_tokens, max_tokens_param = _max_tokens(body, service.dialect.completion_tokens)
    scored = [prompt_logprobs, logprobs if body.echo else None, 0 if body.echo and max_tokens == 0 else None]
    most_scored = max((count for count in scored if count is not None), default=None)
    sampling = body.sampling(max_tokens, logprobs, most_scored)
    if service.dialect.check is not None:
        service.dialect.check(sampling)
    _check_answers(len(prompts), sampling, max_tokens_param)
    several = len(prompts) > 1
    requests = [
        GenerationRequest(
            f"{request_id}-{index}" if several else request_id,
            prompt,
            sampling,
            echo=bool(body.echo),
            max_tokens_param=max_tokens_param,
            prompt_param=param,
            terms=terms,
        )
        for index, (param, prompt) in enumerate(prompts)
    ]
    told = None if logprobs is None else CompletionLogprobs(body.names_ids(service.settings.tokens_as_ids), logprobs)
    return Call(
        request_id,
        model,
        requests,
        bool(body.stream),
        body.include_usage,
        ignored,
        told,
        prompt_logprobs,
        body.kept,
        body.session_id,
        token_ids=bool(body.return_token_ids),
        usage_in_chunks=body.usage_in_chunks,
    )


def _check_answers(prompts: int, sampling: SamplingParams, max_tokens_param: str) -> None:
    """Refuse more answers, or longer ones, than one request may ask for."""
    answers, max_tokens = prompts * sampling.n, sampling.max_tokens or 0
    if answers > LIMITS.answers:
        raise RequestError(
            f"n is {sampling.n} for {prompts} prompts; a request may have at most {LIMITS.answers} answers.",
            param="n",
            code="invalid_value",
        )
    if answers * max_tokens > LIMITS.answer_tokens:
        raise RequestError(
            f"{max_tokens_param} is {max_tokens} for {answers} answers; a request may ask for "
            f"{LIMITS.answer_tokens} tokens in all.",
            param=max_tokens_param,
            code="invalid_value",
        )


def _instruction(prompt: Prompt, body: CompletionRequest) -> Prompt:
    """A text as what a user says; RequestError for what has no meaning then. Token ids are left as they are."""
    for name in ("echo", "suffix"):
        if getattr(body, name):
            raise RequestError(
                f"{name} is not currently supported: on this server a prompt is an instruction and is laid out by the "
                "chat template.",
                param=name,
                code="unsupported_parameter",
            )
    return ChatPrompt([{"role": "user", "content": prompt.text}]) if isinstance(prompt, TextPrompt) else prompt


def _max_tokens(body: CompletionRequest, default: int | None) -> tuple[int | None, str]:
    """The larger of the two, with its name."""
    names = {"max_tokens": body.max_tokens, "max_completion_tokens": body.max_completion_tokens}
    given = [(most, name) for name, most in names.items() if most is not None]
    return max(given, key=lambda pair: pair[0]) if given else (default, "max_tokens")


def read_prompts(raw: Any, param: str = "prompt", suffix: str = "") -> list[tuple[str, TextPrompt | TokenPrompt]]:
    """Each prompt with the name of its place in the body; RequestError for anything that is none.

    A `suffix` belongs to each of them, which then must be text.
    """
    if isinstance(raw, str) or _is_token_list(raw):
        return [(param, _prompt(raw, param, suffix))]
    if not isinstance(raw, list) or not raw:
        raise _not_a_prompt(param)
    most = LIMITS.entries["texts"]
    if len(raw) > most:
        raise RequestError(
            f"{param} has {len(raw)} prompts; at most {most} are allowed.", param=param, code="invalid_value"
        )
    return [(f"{param}.{index}", _prompt(item, f"{param}.{index}", suffix)) for index, item in enumerate(raw)]


def _prompt(raw: Any, param: str, suffix: str) -> TextPrompt | TokenPrompt:
    if isinstance(raw, str):
        return TextPrompt(raw, suffix)
    if isinstance(raw, list):
        wrong = next((index for index, item in enumerate(raw) if type(item) is not int), None)
        if wrong is None and suffix:
            raise RequestError(
                f"suffix is given, but {param} is token ids; with suffix it must be text, or write the gap's tokens "
                "yourself and leave suffix out.",
                param="suffix",
                code="invalid_value",
            )
        if wrong is None:
            return TokenPrompt(raw)
        raise _not_a_prompt(f"{param}.{wrong}")
    raise _not_a_prompt(param)


def _is_token_list(raw: Any) -> bool:
    return isinstance(raw, list) and bool(raw) and type(raw[0]) is int


def _not_a_prompt(param: str) -> RequestError:
    return RequestError(
        f"{param} is not a prompt: a prompt is a string or a list of token ids, or a non-empty list of such prompts.",
        param=param,
        code="invalid_type",
    )


def _choice(index: int, given: WholeChoice) -> dict[str, Any]:
    return {"index": index, "text": given.text}
