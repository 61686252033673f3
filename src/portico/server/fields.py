"""Fields that a body's schema does not have: known ones are refused unless they ask for nothing, others are named."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from portico.errors import RequestError
from portico.server.service import Service

log = logging.getLogger(__name__)

HARMLESS = frozenset({"safety_identifier", "prompt_cache_key", "prompt_cache_retention"})
"""Accepted without effect, like the schema's `user` and `metadata`: they ask nothing of the answer."""

PRINTABLE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
NAMES_LOGGED = 256
NAMES_IN_HEADER = 16


def check_extra(extra: Mapping[str, Any], known: Mapping[str, tuple[Any, ...]], service: Service) -> dict[str, str]:
    """Refuse what is `known` and not honoured; return the header that names what nobody knows and is ignored."""
    for name, value in extra.items():
        if name in known:
            refuse_unless_neutral(name, value, known[name])
    ignored = [name for name in extra if name not in known and name not in HARMLESS]
    for name in ignored:
        _log_once(name, service.ignored_fields)
    named = [name for name in ignored if PRINTABLE_NAME.fullmatch(name)][:NAMES_IN_HEADER]
    return {"x-portico-ignored": ", ".join(named)} if named else {}


def refuse_unless_neutral(name: str, value: Any, neutral: tuple[Any, ...]) -> None:
    """RequestError for a value that asks for something; null never does."""
    # True == 1 in Python, but a client that sends one for the other has made a mistake.
    if value is None or any(value == same and isinstance(value, bool) == isinstance(same, bool) for same in neutral):
        return
    raise RequestError(
        f"{name} is not supported by this server; leave it out.", param=name, code="unsupported_parameter"
    )


def _log_once(name: str, logged: set[str]) -> None:
    if name not in logged and len(logged) < NAMES_LOGGED:
        logged.add(name)
        log.warning("requests have a field %.64r, which is not known here and is ignored", name)
