"""Where chat templates run: Jinja with what transformers gives them, in a sandbox with bounds on time and size.

A template comes with a model or with a request, so it is a program that nobody has vouched for.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.filters import sync_do_sum as _plain_sum
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import soft_str

from portico.errors import RequestError

MAX_CHARACTERS = 32 * 2**20
"""Of a prompt and of every string that a template makes on its way: no body is larger than that by default."""
MAX_SECONDS = 5.0
"""Processor time of one rendering; a conversation of a hundred thousand tokens takes some hundredths."""
MAX_ITEMS = 2**19
"""Of all lists and mappings in a value that is written out."""
MAX_WIDTH = 1000
_STEPS_BETWEEN_LOOKS = 256
_MAX_DIGITS = 4096
_BUDGET = "the budget"  # no name that a template could write
_STEP = "a step"
_JOIN = "join all"
_MARK = "jinja_pass_arg"  # how a filter says that it wants Jinja's context
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


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """The environment of transformers' apply_chat_template, with bounds."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, loopcontrols], finalize=_finalized
        )
        self.filters["tojson"] = _tojson
        for name in ("center", "indent", "wordwrap", "batch", "slice", "tojson"):
            self.filters[name] = _narrow(self.filters[name])
        for name in ("replace", "format", "join"):
            self.filters[name] = _bounded(self.filters[name], name)
        self.filters[_STEP] = _step
        self.filters[_JOIN] = _join_all
        self.filters["string"] = _string
        self.filters["sum"] = _sum
        del self.globals["lipsum"], self.filters["urlize"], self.filters["pprint"]
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = _strftime_now
        self.globals["dict"] = _Dict()
        self.globals["namespace"] = _Namespace

    def concat(self, pieces: Iterable[str]) -> str:
        """What the pieces of a block or macro become."""
        return _joined(list(pieces))

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Every call that a template makes passes here."""
        context.parent[_BUDGET].step()
        method = getattr(function, "__wrapped__", function)  # the sandbox wraps str.format
        owner = getattr(method, "__self__", None)
        if isinstance(owner, str):
            _check_string_method(owner, method.__name__, args, kwargs)
            if method.__name__ == "join" and args:
                args = (_joinable(owner, args[0]), *args[1:])
        return super().call(context, function, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Operations whose result can be far larger than what goes in."""
        match operator:
            case "*":
                _check_product(left, right)
            case "**":
                _check_power(left, right)
            case "%" if isinstance(left, str) and _WIDE_PERCENT.search(left):
                raise _too_wide()
        result = super().call_binop(context, operator, left, right)
        if operator == "+" and isinstance(result, str | list | tuple):
            _check_size(len(result))
        return result

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        return super()._generate(_with_steps(source), *args, **kwargs)


def render(template: jinja2.Template, variables: Mapping[str, Any], seconds: float | None = None) -> str:
    """The whole text; SecurityError past a bound, and whatever else the template raises."""
    budget = Budget.start(MAX_SECONDS if seconds is None else seconds)
    pieces: list[str] = []
    size = 0
    for piece in template.generate({**variables, _BUDGET: budget}):
        budget.step()
        size += len(piece)
        _check_size(size)
        pieces.append(piece)
    return "".join(pieces)


class _GenerationTag(Extension):
    """Renders the body of ``{% generation %}``, which marks an assistant's tokens for training, as if unmarked."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 reads this name

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        # A scope of its own, as the call block has that transformers makes of it.
        return nodes.Scope(body).set_lineno(line)


class _Dict:
    """`dict` for templates: callable, with nothing else of the type to be reached."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _Namespace(jinja2.utils.Namespace):
    """`namespace` for templates, without names that could stand for the object's own workings (``__class__``)."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # no named self: a template may use that name
        attributes = dict(*args[1:], **kwargs)
        for name in attributes:
            _refuse_private(name)
        jinja2.utils.Namespace.__init__(args[0], attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        super().__setitem__(name, value)


def _refuse_private(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace cannot hold {name!r}")


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own filter escapes <, > and & for HTML, which no model has learned.
    return json.dumps(
        _finalized(value), ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> None:
    raise RequestError(message, param="messages", code="invalid_messages")


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)


def _with_steps(tree: nodes.Template) -> nodes.Template:
    """The template with a count at the start of each turn of a loop, and with `~` bounded."""
    for loop in list(tree.find_all(nodes.For)):
        step = nodes.Filter(nodes.Const(None), _STEP, [], [], None, None)
        loop.body.insert(0, nodes.ExprStmt(step).set_lineno(loop.lineno))
    for parent in reversed(list(tree.find_all(nodes.Node))):  # what is within comes first
        _bound_concats(parent)
    return tree


def _bound_concats(parent: nodes.Node) -> None:
    for name, value in parent.iter_fields():
        if isinstance(value, nodes.Concat):
            setattr(parent, name, _bounded_concat(value))
        elif isinstance(value, list):
            setattr(parent, name, [_bounded_concat(v) if isinstance(v, nodes.Concat) else v for v in value])


def _bounded_concat(node: nodes.Concat) -> nodes.Expr:
    joined = nodes.Filter(nodes.List(node.nodes), _JOIN, [], [], None, None)
    joined.set_lineno(node.lineno)
    return joined


@jinja2.pass_context
def _step(context: Context, _: None) -> None:
    context.parent[_BUDGET].step()


def _join_all(values: list[Any]) -> str:
    return _joined([str(_finalized(value)) for value in values])


def _joined(pieces: list[str]) -> str:
    _check_size(sum(map(len, pieces)))
    return "".join(pieces)


def _check_size(size: int) -> None:
    if size > MAX_CHARACTERS:
        raise SecurityError(f"it makes more than {MAX_CHARACTERS} characters")


def _check_product(left: Any, right: Any) -> None:
    for text, number in ((left, right), (right, left)):
        if isinstance(text, str | list | tuple) and isinstance(number, int):
            _check_size(len(text) * number)
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


def _check_string_method(text: str, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    match method:
        case "format" | "format_map" if _WIDE_BRACES.search(text):
            raise _too_wide()
        case "replace":
            _check_replaced(text, *(str(value) for value in (*args, *kwargs.values())[:2]))
        case "translate":
            raise SecurityError("translate is not for templates")
        case "center" | "ljust" | "rjust" | "zfill" | "expandtabs":
            widths = [value for value in (*args, *kwargs.values()) if isinstance(value, int)]
            _check_size(max(widths, default=0) * (len(text) if method == "expandtabs" else 1))


def _joinable(separator: str, values: Iterable[Any]) -> list[Any]:
    several = list(values)
    _check_tree(several)
    _check_size(len(several) * len(separator) + sum(len(value) for value in several if isinstance(value, str)))
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
        _check_size(size)
        if seen + len(waiting) > MAX_ITEMS:
            raise SecurityError(f"it writes out more than {MAX_ITEMS} items at once, in characters far too many")
    return value


def _finalized(value: Any) -> Any:
    return _check_tree(value) if isinstance(value, list | tuple | dict) else value


def _string(value: Any) -> str:
    return soft_str(_finalized(value))


@jinja2.pass_environment
def _sum(
    environment: jinja2.Environment, values: Iterable[Any], attribute: str | int | None = None, start: Any = 0
) -> Any:
    if not isinstance(start, int | float):
        raise SecurityError("only numbers can be summed")
    return _plain_sum(environment, values, attribute, start)


def _check_replaced(text: str, old: str = "", new: str = "") -> None:
    if len(new) > len(old):
        times = text.count(old) if old else len(text) + 1
        _check_size(len(text) + times * (len(new) - len(old)))


def _narrow(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose numbers are widths."""
    value_at = _value_at(function)

    def narrow(*args: Any, **kwargs: Any) -> Any:
        for width in (*args[value_at + 1 :], *kwargs.values()):
            if (len(width) if isinstance(width, str) else width if isinstance(width, int) else 0) >= MAX_WIDTH:
                raise _too_wide()
        return function(*args, **kwargs)

    return _marked(narrow, function)


def _bounded(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A filter that does what a method of strings does."""
    value_at = _value_at(function)

    def bounded(*args: Any, **kwargs: Any) -> Any:
        value, rest = args[value_at], (*args[value_at + 1 :], *kwargs.values())
        if name == "join":
            value = _joinable(str(rest[0]) if rest else "", value)
        elif name == "format":
            if _WIDE_PERCENT.search(str(value)):
                raise _too_wide()
        else:
            _check_string_method(str(value), name, rest, {})
        return function(*args[:value_at], value, *args[value_at + 1 :], **kwargs)

    return _marked(bounded, function)


def _value_at(function: Callable[..., Any]) -> int:
    """Some filters are given Jinja's context before the value."""
    return 1 if hasattr(function, _MARK) else 0


def _marked(wrapper: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    if hasattr(function, _MARK):
        setattr(wrapper, _MARK, getattr(function, _MARK))
    return wrapper
