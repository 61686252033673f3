"""How a body says its messages are to be laid out: the same fields for answering and for tokenising them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from portico.errors import RequestError
from portico.protocol.request import Layout

AddGenerationPrompt = Annotated[
    bool | None,
    Field(
        description="End the prompt with what begins an assistant's turn. Default: true, without "
        "continue_final_message."
    ),
]
ContinueFinalMessage = Annotated[
    bool | None,
    Field(
        description="End the prompt within the last message, so that the answer goes on with it. Not with "
        "add_generation_prompt true."
    ),
]
OwnTemplate = Annotated[
    str | None,
    Field(
        description="The name of one of the model's chat templates (`tool_use`, `rag`); with "
        "--trust-request-chat-template also a template itself, in Jinja. Default: the model's `tool_use` if there are "
        "tools, else its default."
    ),
]
TemplateVariables = Annotated[
    dict[str, Any] | None,
    Field(
        description="Variables for the chat template, as `{enable_thinking: false}`; those that it does not know have "
        "no effect.",
        examples=[{"enable_thinking": False}],
    ),
]
EnableThinking = Annotated[bool | None, Field(description="The same as `enable_thinking` in chat_template_kwargs.")]
ReasoningEffort = Annotated[
    Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None,
    Field(
        description="Given to templates that know it; for others that can switch thinking, `none` is off and all else "
        "on. Where neither can be: a 400, but for `none` of a model that does not think."
    ),
]
Documents = Annotated[
    list[dict[str, Any]] | None,
    Field(description="Texts for chat templates that know retrieval, best with the keys `title` and `text`."),
]


class LayoutFields(Protocol):
    """A body that has them."""

    add_generation_prompt: bool | None
    continue_final_message: bool | None
    chat_template: str | None
    chat_template_kwargs: dict[str, Any] | None
    enable_thinking: bool | None
    documents: list[dict[str, Any]] | None


def read_layout(body: LayoutFields) -> Layout:
    """The wish of a body; RequestError if it contradicts itself."""
    goes_on = bool(body.continue_final_message)
    if goes_on and body.add_generation_prompt:
        raise RequestError(
            "continue_final_message and add_generation_prompt are both true: a prompt ends either within the last "
            "message or with the beginning of another. Leave one out.",
            param="continue_final_message",
            code="invalid_value",
        )
    begins = not goes_on if body.add_generation_prompt is None else body.add_generation_prompt
    variables = dict(body.chat_template_kwargs or {})
    if body.enable_thinking is not None:
        variables["enable_thinking"] = body.enable_thinking
    return Layout(begins, goes_on, body.chat_template, variables, body.documents)
