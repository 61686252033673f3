"""Parsers that are not part of Portico: of installed packages, or of a file that the person who serves has written."""

from __future__ import annotations

import importlib
import importlib.util
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from portico.errors import ConfigError

T = TypeVar("T")


def plugin(name: str, group: str, kind: type[T], flag: str) -> T | None:
    """What `name` stands for, or None if for nothing; ConfigError, naming `flag`, if it cannot be had or is no `kind`.

    `name` is that of an entry point in `group`, or `module:ATTRIBUTE`, or `path/to/file.py:ATTRIBUTE`.
    """
    try:
        found = _find(name, group)
    except Exception as error:  # another's code: importing it may raise anything
        raise ConfigError(f"{flag} {name}: {type(error).__name__}: {error}") from error
    if found is not None and not isinstance(found, kind):
        raise ConfigError(f"{flag} {name}: that is no {kind.__module__}.{kind.__name__}.")
    return found


def _find(name: str, group: str) -> object | None:
    place, colon, attribute = name.rpartition(":")
    if colon:
        module = _module_of(Path(place)) if place.endswith(".py") else importlib.import_module(place)
        found: object = getattr(module, attribute)
        return found
    points = (point for point in entry_points(group=group) if point.name == name)
    return next((point.load() for point in points), None)


def _module_of(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
