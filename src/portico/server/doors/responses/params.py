"""Fields that are known but not honoured: refused by name, unless their value asks for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portico.server.doors.responses.schema import CreateResponse
from portico.server.fields import check_extra, refuse_unless_neutral
from portico.server.service import Service
from portico.server.wording import wrong

# Each field with the values that ask for what happens anyway; null is always one of them.
NOT_HONOURED: Mapping[str, tuple[Any, ...]] = {
    # OpenAI
    "background": (False,),
    "context_management": ([],),
    "conversation": (),
    "max_tool_calls": (),
    "moderation": (),
    "multi_agent": (),
    "prompt": (),
    "verbosity": ("medium",),
    # vLLM
    "cache_salt": (),
    "enable_response_messages": (False,),
    "logit_bias": ({},),
    "mm_processor_kwargs": ({},),
    "previous_input_messages": (),
    "request_id": (),
    "structured_outputs": (),
    "vllm_xargs": ({},),
}
NEUTRAL: Mapping[str, tuple[Any, ...]] = {"service_tier": ("auto", "default")}
OF_TOOLS = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
)
"""Of `include`: more of what only tools of OpenAI's own would give."""
LOGPROBS = "message.output_text.logprobs"
ENCRYPTED = "reasoning.encrypted_content"
MOST_TOP_LOGPROBS = 20
MOST_PAIRS, MOST_NAME, MOST_VALUE = 16, 64, 512
"""Of metadata."""


def check_fields(body: CreateResponse, service: Service) -> dict[str, str]:
    """Refuse what is known and not honoured; return the header that names what nobody knows and is ignored."""
    if body.stream_options is not None:
        if not body.stream:
            raise wrong("stream_options", "is only allowed when stream is true")
        refuse_unless_neutral("stream_options.include_obfuscation", body.stream_options.include_obfuscation, (False,))
    for name, values in NEUTRAL.items():
        refuse_unless_neutral(name, getattr(body, name), values)
    if body.text is not None:
        refuse_unless_neutral("text.verbosity", body.text.verbosity, ("medium",))
    for place, name in enumerate(body.include or ()):
        if name not in (LOGPROBS, ENCRYPTED, *OF_TOOLS):
            raise wrong(f"include.{place}", f"is {name!r:.80}; it must be one of {', '.join((LOGPROBS, ENCRYPTED))}")
    _check_metadata(body.metadata or {})
    return check_extra(body.model_extra or {}, NOT_HONOURED, service)


def logprobs_of(body: CreateResponse) -> int | None:
    """How many of the likeliest tokens to show for each; None: no log-probabilities at all."""
    if body.top_logprobs is not None and not 0 <= body.top_logprobs <= MOST_TOP_LOGPROBS:
        raise wrong("top_logprobs", f"is {body.top_logprobs}; it must be from 0 to {MOST_TOP_LOGPROBS}")
    if body.top_logprobs or LOGPROBS in (body.include or ()):
        return body.top_logprobs or 0
    return None


def _check_metadata(metadata: Mapping[str, str]) -> None:
    if len(metadata) > MOST_PAIRS:
        raise wrong("metadata", f"has {len(metadata)} pairs; at most {MOST_PAIRS} are allowed")
    for name, value in metadata.items():
        if len(name) > MOST_NAME or len(value) > MOST_VALUE:
            raise wrong(
                f"metadata.{name[:MOST_NAME]}",
                f"is too long; a name may have {MOST_NAME} characters and a value {MOST_VALUE}",
            )
