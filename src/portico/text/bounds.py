"""How far a chat template may go: bounds on the time, the size and the numbers of all that it makes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2.exceptions import SecurityError

MAX_CHARACTERS = 16 * 2**20
"""Of a prompt and of every string that a template makes on its way: twice what a body has by default."""
MAX_SECONDS = 2.0
"""Processor time of one rendering; a conversation of a hundred thousand tokens takes some hundredths."""
MAX_ITEMS = 2**19
"""Of all lists and mappings in a value that is written out."""
MAX_WIDTH = 1000
_STEPS_BETWEEN_LOOKS = 256
_MAX_DIGITS = 4096
_PASS_ARG = "jinja_pass_arg"  # how a filter says that it wants Jinja's context
_WIDE_PERCENT = re.compile(r"%[^a-zA-Z%]*(?:\d{4,}|\*)")
_WIDE_BRACES = re.compile(r"\{[^{}]*:[^{}]*(?:\d{4,}|\{)")


@dataclass(slots=True)
class Budget:
    """How long one rendering may go on, in its thread's processor time: a busy machine takes nothing from it."""

    seconds: float
    deadline: float
    steps: int = 0

    @classmethod
    def start(cls, seconds: float) -> Budget:
        return cls(seconds, time.thread_time() + seconds)

    def step(self) -> None:
        """Count one turn of a loop or one call; SecurityError once the time is used up."""
        self.steps += 1
        if self.steps % _STEPS_BETWEEN_LOOKS == 0 and time.thread_time() > self.deadline:
            raise SecurityError(f"it ran for more than {self.seconds:g} seconds")


def joined(pieces: list[str]) -> str:
    """The pieces as one text; SecurityError if that is too large, as everywhere here."""
    check_size(sum(map(len, pieces)))
    return "".join(pieces)


def check_size(size: int) -> None:
    """Refuse so many characters, or items of a list."""
    if size > MAX_CHARACTERS:
        raise SecurityError(f"it makes more than {MAX_CHARACTERS} characters")


def check_operation(operator: str, left: Any, right: Any) -> None:
    """Refuse an operation whose result would be far larger than what goes in."""
    match operator:
        case "*":
            _check_product(left, right)
        case "**":
            _check_power(left, right)
        case "%" if isinstance(left, str) and _WIDE_PERCENT.search(left):
            raise _too_wide()


def _check_product(left: Any, right: Any) -> None:
    for text, number in ((left, right), (right, left)):
        if isinstance(text, str | list | tuple) and isinstance(number, int):
            check_size(len(text) * number)
    if isinstance(left, int) and isinstance(right, int):
        _check_digits(left.bit_length() + right.bit_length())


def _check_power(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        _check_digits(left.bit_length() * abs(right))


def _check_digits(bits: int) -> None:
    if bits > 3 * _MAX_DIGITS:
        raise SecurityError("it makes a number that is too large")


def _too_wide() -> SecurityError:
    return SecurityError(f"a width may be at most {MAX_WIDTH - 1}")


def check_string_method(text: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Refuse a call of a text's method that would make far more than there is."""
    match method:
        case "format" | "format_map" if _WIDE_BRACES.search(text):
            raise _too_wide()
        case "replace":
            _check_replaced(text, *(str(value) for value in (*args, *kwargs.values())[:2]))
        case "translate":
            raise SecurityError("translate is not for templates")
        case "center" | "ljust" | "rjust" | "zfill" | "expandtabs":
            widths = [value for value in (*args, *kwargs.values()) if isinstance(value, int)]
            check_size(max(widths, default=0) * (len(text) if method == "expandtabs" else 1))


def joinable(separator: str, values: Iterable[Any]) -> list[Any]:
    """The values as a list, if they are not too many to be joined."""
    several = list(values)
    _check_tree(several)
    check_size(len(several) * len(separator) + sum(len(value) for value in several if isinstance(value, str)))
    return several


def _check_tree(value: Any) -> Any:
    """Lists that hold themselves many times over are small until they are written out."""
    size, seen, waiting = 0, 0, [value]
    while waiting:
        match waiting.pop():
            case dict() as pairs:
                waiting += [*pairs.keys(), *pairs.values()]
            case list() | tuple() as items:
                waiting += items
            case str() as text:
                size += len(text)
        seen += 1
        check_size(size)
        if seen + len(waiting) > MAX_ITEMS:
            raise SecurityError(f"it writes out more than {MAX_ITEMS} items at once, in characters far too many")
    return value


def finalized(value: Any) -> Any:
    """A value that is about to be written out."""
    return _check_tree(value) if isinstance(value, list | tuple | dict) else value


def _check_replaced(text: str, old: str = "", new: str = "") -> None:
    if len(new) > len(old):
        times = text.count(old) if old else len(text) + 1
        check_size(len(text) + times * (len(new) - len(old)))


def narrow_filter(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose numbers are widths."""
    value_at = _value_at(function)

    def narrow(*args: Any, **kwargs: Any) -> Any:
        for width in (*args[value_at + 1 :], *kwargs.values()):
            if (len(width) if isinstance(width, str) else width if isinstance(width, int) else 0) >= MAX_WIDTH:
                raise _too_wide()
        return function(*args, **kwargs)

    return _marked(narrow, function)


def bounded_filter(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A filter that does what a method of strings does."""
    value_at = _value_at(function)

    def bounded(*args: Any, **kwargs: Any) -> Any:
        value, rest = args[value_at], (*args[value_at + 1 :], *kwargs.values())
        if name == "join":
            value = joinable(str(rest[0]) if rest else "", value)
        elif name == "format":
            if _WIDE_PERCENT.search(str(value)):
                raise _too_wide()
        else:
            check_string_method(str(value), name, rest, {})
        return function(*args[:value_at], value, *args[value_at + 1 :], **kwargs)

    return _marked(bounded, function)


def _value_at(function: Callable[..., Any]) -> int:
    """Some filters are given Jinja's context before the value."""
    return 1 if hasattr(function, _PASS_ARG) else 0


def _marked(wrapper: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    if hasattr(function, _PASS_ARG):
        setattr(wrapper, _PASS_ARG, getattr(function, _PASS_ARG))
    return wrapper
