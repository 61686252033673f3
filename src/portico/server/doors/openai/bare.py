"""A chat without the chat template, as LMDeploy has it: text or tokens in place of messages, continued as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portico.errors import RequestError
from portico.protocol.request import TextPrompt, TokenPrompt
from portico.server.doors.openai.schema import ChatCompletionRequest
from portico.text.messages import Taste, plain_message

OF_THE_TEMPLATE = (
    "chat_template",
    "chat_template_kwargs",
    "continue_final_message",
    "documents",
    "enable_thinking",
    "reasoning_effort",
    "thinking_token_budget",
    "tools",
)
"""Fields that mean nothing where nothing is laid out."""


def bare_prompt(body: ChatCompletionRequest, messages: Sequence[Mapping[str, Any]]) -> TextPrompt | TokenPrompt | None:
    """What is to be continued as it is; None: `messages` are to be laid out. RequestError for a contradiction."""
    prompt = _prompt(body, messages)
    if prompt is None and not messages:
        raise RequestError("messages is []; it should have at least 1 item.", param="messages", code="invalid_value")
    wrong = next((name for name in OF_THE_TEMPLATE if prompt is not None and getattr(body, name)), None)
    if wrong is not None:
        raise RequestError(
            f"{wrong} is for the chat template, and {_why(body)} is continued without it; leave one of them out.",
            param=wrong,
            code="invalid_value",
        )
    return prompt


def _prompt(body: ChatCompletionRequest, messages: Sequence[Mapping[str, Any]]) -> TextPrompt | TokenPrompt | None:
    if body.input_ids is not None:
        if body.messages or not body.input_ids:
            raise RequestError(
                "input_ids must be token ids, at least one, and messages empty beside them.",
                param="input_ids",
                code="invalid_value",
            )
        return TokenPrompt(body.input_ids)
    if isinstance(body.messages, str):
        return TextPrompt(body.messages)
    if body.do_preprocess is False and messages:
        return TextPrompt("".join(str(plain_message(i, m, Taste())["content"]) for i, m in enumerate(messages)))
    return None


def _why(body: ChatCompletionRequest) -> str:
    return "input_ids" if body.input_ids is not None else "a text in messages"
