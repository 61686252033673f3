"""Command-line parsers made from option declarations, with errors of one line."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterable
from typing import Any, NoReturn

from portico.config.given import Given, closest
from portico.config.option import Option, flag


class LineParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line on standard error, and that suggests the flag that was meant."""

    def __init__(self, **details: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=HelpLines, **details)

    def error(self, message: str) -> NoReturn:
        fail(f"{self.prog}: {message} (see {self.prog} --help)", status=2)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        given = sys.argv[1:] if args is None else list(args)
        parsed, unknown = self.parse_known_args([_dashed(text) for text in given], namespace)
        if unknown:
            known = [text for action in self._actions for text in action.option_strings]
            self.error(f"unknown argument {unknown[0]}{closest(unknown[0].split('=')[0], known)}")
        return parsed


class HelpLines(argparse.HelpFormatter):
    """Help that names an option's value once, behind all its spellings, and keeps within the width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return textwrap.fill(
            " ".join(text.split()), width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )

    def _format_action(self, action: argparse.Action) -> str:
        first, newline, rest = super()._format_action(action).partition("\n")
        if len(first) > self._width:
            first = textwrap.fill(
                first, self._width, subsequent_indent=" " * (self._current_indent + 4), break_on_hyphens=False
            )
        return first + newline + rest

    def _format_action_invocation(self, action: argparse.Action) -> str:
        return action.shown if isinstance(action, _Keep) else super()._format_action_invocation(action)


def fail(line: str, status: int = 1) -> NoReturn:
    """End the program with one line on standard error."""
    print(line, file=sys.stderr)
    raise SystemExit(status)


def add_options(parser: argparse.ArgumentParser, options: Iterable[Option]) -> None:
    """Add options, in their groups; those that do little here are only listed, with docs/flags.md to tell of them."""
    groups: dict[str, Any] = {}
    quiet: dict[str, list[str]] = {}
    for option in options:
        spec = option.spec
        aside = spec.limited or spec.idle is not None
        if aside:
            quiet.setdefault(spec.group, []).extend(option.flags)
        group = parser if aside else groups.setdefault(spec.group, parser.add_argument_group(spec.group))
        _add(group, option, argparse.SUPPRESS if aside else _help(option))
    for name, flags in quiet.items():
        parser.add_argument_group(name, f"{', '.join(flags)} (docs/flags.md says why)")


def add_unlisted(parser: argparse.ArgumentParser, options: Iterable[Option]) -> None:
    """Add options that the help leaves out."""
    for option in options:
        _add(parser, option, argparse.SUPPRESS)


def given_flags(parsed: argparse.Namespace, options: Iterable[Option]) -> dict[str, Given]:
    """What the command line says of each option that it names."""
    return {option.name: getattr(parsed, option.name) for option in options if getattr(parsed, option.name, None)}


class _Keep(argparse.Action):
    """Keeps the flag as it was spelled, and the texts behind it; `const` has those of flags that take none."""

    shown = ""
    """How the help names the option: all its flags, then its value."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, flag: str | None = None
    ) -> None:
        texts = (self.const[flag],) if self.nargs == 0 else tuple([values] if isinstance(values, str) else values)
        before = getattr(namespace, self.dest, None)
        setattr(namespace, self.dest, Given(flag or self.dest, (*(before.texts if before else ()), *texts)))


def _add(group: Any, option: Option, text: str) -> None:
    spec = option.spec

    def add(flags: Iterable[str], help: str, shown: str, **details: Any) -> None:
        group.add_argument(*flags, action=_Keep, dest=option.name, default=None, help=help, **details).shown = shown

    if option.is_switch:
        const = dict.fromkeys(option.flags, "true") | dict.fromkeys(option.off_flags, "false")
        add(const, text, ", ".join(const if option.default else option.flags), nargs=0, const=const)
    else:
        value = spec.metavar or (f"{{{','.join(spec.choices)}}}" if spec.choices else option.name.upper())
        shown = f"{', '.join(option.flags)} {value}{' ...' if spec.repeated else ''}"
        several = [flag for flag in option.flags if spec.repeated and flag not in spec.single]
        single = [flag for flag in option.flags if flag not in several]
        for flags, nargs in ((single, {}), (several, {"nargs": "+"})):
            if flags:
                add(flags, text, shown, metavar=value, **nargs)
                text = argparse.SUPPRESS
    again = f"another way to say {flag(option.name)}"
    for spelling, value in spec.valued:
        add([spelling], again, f"{spelling} {value}", metavar=value)
    for word, value in spec.words:
        add([word], f"{again} {value}", word, nargs=0, const={word: value})


def _help(option: Option) -> str:
    text, default = option.spec.help.replace("%", "%%"), option.default
    if default in (None, (), "") or option.is_switch:
        return text + (" (default: on)" if default is True else "")
    return text + (f" (default: {default:g})" if isinstance(default, float) else f" (default: {default})")


def _dashed(text: str) -> str:
    """A flag with its underscores as dashes, as all of those servers take it."""
    match = re.match(r"--[A-Za-z][\w-]*", text)
    return text if match is None else match[0].replace("_", "-") + text[match.end() :]
