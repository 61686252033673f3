"""POST /tokenize and /detokenize, as vLLM has them."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from portico.errors import RequestError
from portico.protocol.request import ChatPrompt, GenerationRequest, Prompt, TextPrompt, ThinkWish
from portico.protocol.sampling import SamplingParams
from portico.server.body import read_body
from portico.server.describe import describe
from portico.server.disconnect import while_connected
from portico.server.doors.openai.answer_schema import Detokenization, Tokenization
from portico.server.doors.openai.chat import plain_messages
from portico.server.doors.openai.layout import read_layout
from portico.server.doors.openai.params import TOKENS
from portico.server.doors.openai.schema import DetokenizeRequest, TokenizeRequest
from portico.server.fields import check_extra
from portico.server.middleware import context_of
from portico.server.service import Service
from portico.text.tools.wish import read_wish


def router(service: Service) -> APIRouter:
    """The routes that turn text to tokens and back."""
    routes = APIRouter(tags=["tokens"])

    @routes.post("/tokenize", **describe(TokenizeRequest, Tokenization))
    async def tokenize(http: Request) -> Response:
        """The tokens of a text, or of a conversation as the model would read it."""
        body = await read_body(http, TokenizeRequest)
        service.resolve_model(body.model)
        headers = check_extra(body.model_extra or {}, TOKENS, service)
        request = _understand(body, context_of(http.scope).rename("tokn"))
        ids = await while_connected(http.receive, service.pipeline.tokenize(request))
        fields = {
            "count": len(ids),
            "max_model_len": service.pipeline.engine.loaded.max_model_len,
            "tokens": ids,
            "token_strs": service.pipeline.model.tokenizer.names(ids) if body.return_token_strs else None,
        }
        return Response(msgspec.json.encode(fields), headers=headers, media_type="application/json")

    @routes.post("/detokenize", **describe(DetokenizeRequest, Detokenization))
    async def detokenize(http: Request) -> Response:
        """The text of tokens, special ones included."""
        body = await read_body(http, DetokenizeRequest)
        service.resolve_model(body.model)
        headers = check_extra(body.model_extra or {}, {}, service)
        text = service.pipeline.model.text(body.tokens, service.pipeline.engine.loaded.vocab_size)
        return Response(msgspec.json.encode({"prompt": text}), headers=headers, media_type="application/json")

    return routes


def _understand(body: TokenizeRequest, request_id: str) -> GenerationRequest:
    prompt: Prompt
    if (body.prompt is None) == (body.messages is None):
        raise RequestError(
            "Give either prompt, a text, or messages, a conversation.", param="prompt", code="invalid_value"
        )
    if body.messages is not None:
        tools, calls = read_wish(body.tools or [], None, parallel=True)
        thinking = ThinkWish(effort=body.reasoning_effort)
        prompt = ChatPrompt(plain_messages(body.messages), tools, read_layout(body), calls, thinking)
    else:
        prompt = TextPrompt(body.prompt or "")
    sampling = SamplingParams(add_special_tokens=body.add_special_tokens)
    param = "prompt" if body.messages is None else "messages"
    return GenerationRequest(request_id, prompt, sampling, prompt_param=param)
