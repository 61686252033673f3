"""Errors in the words of the client: the field as it was sent, what it is, what would be right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from portico.errors import RequestError

Names = Sequence[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]]
"""What fields are called below the doors, and what the client calls them."""


def wrong(field: str, what: str, code: str = "invalid_value") -> RequestError:
    """The error of a field."""
    return RequestError(f"{field} {what}.", param=field, code=code)


@contextmanager
def said_as_sent(names: Names) -> Iterator[None]:
    """Errors that are raised within name the fields that the client wrote."""
    try:
        yield
    except RequestError as error:
        for ours, theirs in names:
            error.message = ours.sub(theirs, error.message)
            error.param = error.param and ours.sub(theirs, error.param)
        error.args = (error.message,)
        raise
