"""What a schema says about the kind of a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def kinds_of(schema: Mapping[str, Any]) -> set[str]:
    """The JSON types of what a schema describes, "any" if it does not say."""
    kind = schema.get("type")
    if isinstance(kind, str):
        return {kind}
    if isinstance(kind, list):
        return {str(item) for item in kind}
    branches = [b for word in ("anyOf", "oneOf") for b in schema.get(word) or () if isinstance(b, Mapping)]
    if branches:
        return set().union(*map(kinds_of, branches))
    options = schema.get("enum")
    if isinstance(options, list) and options and all(isinstance(option, str) for option in options):
        return {"string"}
    return {"any"}
