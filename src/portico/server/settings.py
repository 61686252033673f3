"""What the person who starts a server decides about its HTTP side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from portico.config.compat import CompatName
from portico.config.cors import CorsRules
from portico.config.keys import KeyTerms
from portico.config.queue import QueueLimits
from portico.config.rates import RateLimits
from portico.protocol.limits import LIMITS


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Names, keys and limits of one server."""

    model_names: tuple[str, ...]
    """Names under which clients ask for the model; the first is the one that answers carry."""
    api_keys: tuple[str, ...] = ()
    """Keys of which a client must send one as a bearer token; none: everybody is welcome."""
    version: str = "0"
    max_logprobs: int = 20
    """Likeliest tokens that a completion may ask to see."""
    max_body_bytes: int = LIMITS.body_bytes
    abort_all: bool = False
    """Whether a request may end all others."""
    always_usage: bool = False
    """Whether every stream ends with its usage."""
    tokens_as_ids: bool = False
    """How tokens are named in log-probabilities where a request does not say it: by their ids."""
    response_role: str = "assistant"
    """The role of answers of chats."""
    compat: CompatName = "none"
    """Whose habits the doors take on where they contradict OpenAI's."""
    cors: CorsRules | None = None
    """What pages of other origins may do; None: nothing that a browser keeps from them."""
    root_path: str = ""
    """Path under which a proxy shows the server."""
    docs: bool = True
    """Whether there are /docs and /openapi.json."""
    debug: bool = False
    """Whether there are routes for debugging."""
    tracing: bool = False
    """Whether the events of requests are kept."""
    queue: QueueLimits | None = None
    """How many requests it takes at a time; None: any number."""
    rates: RateLimits = RateLimits()  # noqa: RUF009 - frozen
    """What each API key may ask in a minute."""
    request_timeout: float = 0.0
    """Seconds that a request may take, from its arrival on; 0: any number."""
    key_terms: Mapping[str, KeyTerms] = field(default_factory=dict)
    """Those of the API keys whose requests' priorities count against those of other keys."""
    log_requests: bool = True
    """Whether each request is a line in the log."""
    quiet_paths: tuple[str, ...] = ()
    """Paths whose requests are not."""
    log_prompts: bool = False
    """Whether prompts are in the log too."""
    max_log_len: int | None = None
    """Characters of a prompt that are; None: all."""
