"""Options from a YAML file: a mapping of their names, in any server's spelling, to values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from portico.config.given import Given, closest
from portico.config.option import Option
from portico.errors import ConfigError


def from_file(options: Iterable[Option], path: str) -> dict[str, Given]:
    """What the file says; ConfigError if it cannot be read, has an unknown name, or says one thing twice."""
    spellings = _spellings(options)
    given: dict[str, Given] = {}
    for key, value in _mapping(path).items():
        name = str(key).replace("_", "-")
        if name not in spellings:
            raise ConfigError(f"{path}: there is no option {key}{closest(name, spellings)}")
        option, words = spellings[name]
        where = f"{path}: {key}"
        if option.name in given:
            raise ConfigError(f"{where} says the same as {given[option.name].where.rpartition(': ')[2]}; give one.")
        texts = tuple(words.get(text, text) for text in _texts(value, option, where))
        if texts != UNSAID:
            given[option.name] = Given(where, texts)
    return given


UNSAID = ("",)
"""What a flag that stands for a value says when it is off."""


def _spellings(options: Iterable[Option]) -> dict[str, tuple[Option, Mapping[str, str]]]:
    """Every flag without its dashes, and what its value stands for where that is something else."""
    names: dict[str, tuple[Option, Mapping[str, str]]] = {}
    for option in options:
        plain = (*option.flags, *(flag for flag, _ in option.spec.valued))
        names |= {flag.lstrip("-"): (option, {}) for flag in plain}
        names |= {flag.lstrip("-"): (option, {"true": "false", "false": "true"}) for flag in option.off_flags}
        names |= {word.lstrip("-"): (option, {"true": value, "false": ""}) for word, value in option.spec.words}
    return names


def _mapping(path: str) -> Mapping[Any, Any]:
    import yaml  # only for those who have such a file

    try:
        content = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--config {path}: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {path} is not YAML: {' '.join(str(error).split())}.") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"--config {path} holds a {type(content).__name__}; a mapping of options was expected.")
    return content


def _texts(value: Any, option: Option, where: str) -> tuple[str, ...]:
    if isinstance(value, list):
        if not option.spec.repeated or not all(isinstance(item, str | int | float) for item in value):
            raise ConfigError(
                f"{where} is a list; {'strings were' if option.spec.repeated else 'one value was'} expected."
            )
        return tuple(map(_text, value))
    if isinstance(value, dict):
        pairs = option.name == "overrides"
        return (";".join(f"{k}={_text(v)}" for k, v in value.items()) if pairs else json.dumps(value),)
    if value is None:
        raise ConfigError(f"{where} has no value.")
    return (_text(value),)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
