"""Thoughts that clients keep for the server unread, though they are no secret."""

from __future__ import annotations

import base64
import binascii

_SEAL = "portico."


def sealed(text: str) -> str:
    """A text in the form in which it is passed on."""
    return _SEAL + base64.b64encode(text.encode("utf-8", "replace")).decode()


def unsealed(data: object) -> str:
    """The text; empty for what another server has sealed."""
    if not isinstance(data, str) or not data.startswith(_SEAL):
        return ""
    try:
        return base64.b64decode(data.removeprefix(_SEAL), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
