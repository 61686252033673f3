"""On what terms a request runs: its owner, its priority, its deadline; the same at every door."""

from __future__ import annotations

import hashlib
import math

from starlette.datastructures import Headers
from starlette.types import Scope

from portico.config.keys import KeyTerms
from portico.errors import RequestError
from portico.protocol.request import Terms
from portico.server.middleware import context_of
from portico.server.settings import ServerSettings

TIMEOUT_HEADER = "X-Request-Timeout"
LARGEST_PRIORITY = 2**31 - 1
OWNER_BYTES = 7
"""Of an owner's number, which so fits a signed word."""


def owner_of(scope: Scope) -> int:
    """An opaque number for the API key of a request, the same for the same key; 0 where no key is needed."""
    digest = context_of(scope).key_digest
    return owner_number(digest) if digest else 0


def owner_number(digest: str) -> int:
    """The number of the key with this digest."""
    return int.from_bytes(hashlib.blake2b(digest.encode(), digest_size=OWNER_BYTES).digest(), "big")


def read_terms(scope: Scope, settings: ServerSettings, priority: int | None = None) -> Terms:
    """The terms of a request, of which `priority` is what its body says; RequestError for what cannot be.

    The header can make the time that the server gives a request, or those of its key, shorter, never longer.
    """
    context = context_of(scope)
    if priority is not None and abs(priority) > LARGEST_PRIORITY:
        raise RequestError(
            f"priority is {priority}; it must be from -{LARGEST_PRIORITY} to {LARGEST_PRIORITY}, the lower the sooner.",
            param="priority",
            code="invalid_value",
        )
    own = settings.key_terms.get(context.key_digest, KeyTerms())
    most = settings.request_timeout if own.request_timeout is None else own.request_timeout
    seconds = min((s for s in (most, _asked(scope)) if s), default=None)
    return Terms(
        owner=owner_of(scope),
        priority=priority or 0,
        outranks=own.outranks,
        deadline=None if seconds is None else context.arrived + seconds,
        seconds=seconds,
    )


def _asked(scope: Scope) -> float | None:
    text = Headers(scope=scope).get(TIMEOUT_HEADER)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise RequestError(
            f"The header {TIMEOUT_HEADER} is {text[:40]!r}; it must be a number of seconds above 0, such as 30 or 2.5.",
            param=TIMEOUT_HEADER,
            code="invalid_value",
        )
    return seconds
