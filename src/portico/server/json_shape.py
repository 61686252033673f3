"""The shape of JSON text, looked at before it is read: reading it costs many times its bytes."""

from __future__ import annotations

import re

from portico.errors import RequestError
from portico.protocol.limits import InputLimits

# Strings as a whole, so that what stands in them does not count. Possessive: no text is looked at twice.
_MARKS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?+|[\[\]{}:]', re.DOTALL)


def check_shape(data: bytes, limits: InputLimits) -> None:
    """RequestError 400 for text that is nested too deeply, or has too many lists, objects or keys.

    Text that is no JSON at all passes: whoever reads it says what is wrong with it.
    """
    opened = data.count(b"[") + data.count(b"{")
    if opened <= limits.json_depth and data.count(b":") <= limits.json_keys:
        return  # most bodies, and no text in them can change that
    depth = containers = keys = 0
    for found in _MARKS.finditer(data):
        match found[0]:
            case b"[" | b"{":
                depth, containers = depth + 1, containers + 1
                if depth > limits.json_depth:
                    raise _beyond(f"is nested more than {limits.json_depth} levels deep")
                if containers > limits.json_containers:
                    raise _beyond(f"has more than {limits.json_containers} lists and objects")
            case b"]" | b"}":
                depth -= 1
            case b":":
                keys += 1
                if keys > limits.json_keys:
                    raise _beyond(f"has more than {limits.json_keys} keys")


def _beyond(what: str) -> RequestError:
    return RequestError(f"The body {what}.", code="invalid_json")
