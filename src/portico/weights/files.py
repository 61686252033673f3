"""Reading the small JSON and text files of a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from portico.errors import CheckpointError


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`, or an empty one if there is no such file; CheckpointError if it is not an object."""
    if not path.is_file():
        return {}
    try:
        value = msgspec.json.decode(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds a JSON {type(value).__name__}; an object was expected.")
    return value


def read_text(path: Path) -> str | None:
    """The text in `path`, or None if there is no such file; CheckpointError if it is not UTF-8."""
    if not path.is_file():
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read as UTF-8 text: {error}.") from error
