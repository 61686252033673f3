"""Typed reading of a JSON object that remembers what was read, so that nothing goes unnoticed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portico.errors import CheckpointError


class Values:
    """A JSON object whose values are checked as they are read; null counts as absent."""

    def __init__(self, raw: Mapping[str, Any], source: str) -> None:
        self.source = source
        self._raw = raw
        self._read: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return self._raw.get(key) is not None

    def get(self, key: str, default: Any = None) -> Any:
        """The value as it is, or the default if it is absent or null."""
        self._read.add(key)
        value = self._raw.get(key)
        return default if value is None else value

    def integer(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """A whole number of at least `least`."""
        value = self.get(key, default)
        if value is None:
            raise CheckpointError(f"{self.source} has no {key}.")
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.error(key, value, f"a whole number of at least {least}")
        return value

    def optional_integer(self, key: str, default: int) -> int | None:
        """A positive whole number, None where the file says null, the default where it says nothing."""
        if key in self._raw and self._raw[key] is None:
            self._read.add(key)
            return None
        return self.integer(key, default)

    def number(self, key: str, default: float | None = None) -> float:
        """A positive number."""
        value = self.get(key, default)
        if value is None:
            raise CheckpointError(f"{self.source} has no {key}.")
        if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
            raise self.error(key, value, "a positive number")
        return float(value)

    def optional_number(self, key: str) -> float | None:
        """A positive number, or None if it is absent."""
        return self.number(key) if key in self else None

    def flag(self, key: str, default: bool = False) -> bool:
        """true or false."""
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, value, "true or false")
        return value

    def section(self, key: str) -> Values:
        """The object under a key, empty if it is absent."""
        value = self.get(key, {})
        if not isinstance(value, dict):
            raise self.error(key, value, "an object")
        return Values(value, f"{self.source}: {key}")

    def unread(self) -> set[str]:
        """Keys that nobody has asked for and that are not null."""
        return {key for key, value in self._raw.items() if value is not None} - self._read

    def error(self, key: str, value: object, right: str) -> CheckpointError:
        """The error that names the key, its value and what it must be."""
        return CheckpointError(f"{self.source}: {key} is {value}; it must be {right}.")
