"""Command-line parsers made from option declarations, with errors of one line."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from portico.config.option import OptionSpec, declared, flag, from_environment


class LineParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line on standard error, and that suggests the flag that was meant."""

    def error(self, message: str) -> NoReturn:
        fail(f"{self.prog}: {message} (see {self.prog} --help)", status=2)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            known = [text for action in self._actions for text in action.option_strings]
            near = difflib.get_close_matches(unknown[0].split("=")[0], known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            self.error(f"unknown argument {unknown[0]}{hint}")
        return parsed


def fail(line: str, status: int = 1) -> NoReturn:
    """End the program with one line on standard error."""
    print(line, file=sys.stderr)
    raise SystemExit(status)


def add_options(parser: argparse.ArgumentParser, cls: type[Any]) -> None:
    """Add every declared option of a dataclass, in groups."""
    groups: dict[str, Any] = {}
    for f, spec in declared(cls):
        group = groups.setdefault(spec.group, parser.add_argument_group(spec.group))
        group.add_argument(flag(f.name), *spec.aliases, dest=f.name, **_arguments(f.default, spec))


def collect(cls: type[Any], parsed: argparse.Namespace) -> Any:
    """The dataclass as command line, then environment, then defaults have it; raises ConfigError."""
    values = from_environment(cls, os.environ)
    for f, spec in declared(cls):
        value = getattr(parsed, f.name)
        if value is not None:
            values[f.name] = tuple(v for part in value for v in _flat(part, spec)) if spec.repeated else value
    return cls(**values)


def _arguments(default: Any, spec: OptionSpec) -> dict[str, Any]:
    text = spec.help.replace("%", "%%")
    if default not in (None, ()) and default is not False:
        text += f" (default: {default:g})" if isinstance(default, float) else f" (default: {default})"
    arguments: dict[str, Any] = {"default": None, "help": text}
    if isinstance(default, bool):
        return {"action": argparse.BooleanOptionalAction, "default": None, "help": text}
    if spec.choices is not None:
        arguments["choices"] = spec.choices
    else:
        arguments["metavar"] = spec.metavar
        arguments["type"] = _typed(spec.split or spec.parse)
    if spec.repeated:
        arguments |= {"action": "append", "nargs": "+"}
    return arguments


def _flat(values: list[Any], spec: OptionSpec) -> list[Any]:
    return values if spec.split is None else [item for several in values for item in several]


def _typed(read: Callable[[str], Any]) -> Any:
    def parse(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None

    return parse
