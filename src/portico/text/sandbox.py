"""Where chat templates run: Jinja with what transformers gives them, in a sandbox with bounds on time and size.

A template comes with a model or with a request, so it is a program that nobody has vouched for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
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
from portico.text.bounds import (
    MAX_SECONDS,
    Budget,
    bounded_filter,
    check_operation,
    check_size,
    check_string_method,
    finalized,
    joinable,
    joined,
    narrow_filter,
)

_BUDGET = "the budget"  # no name that a template could write
_STEP = "a step"
_JOIN = "join all"


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """The environment of transformers' apply_chat_template, with bounds."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, loopcontrols], finalize=finalized
        )
        self.filters["tojson"] = _tojson
        for name in ("center", "indent", "wordwrap", "batch", "slice", "tojson"):
            self.filters[name] = narrow_filter(self.filters[name])
        for name in ("replace", "format", "join"):
            self.filters[name] = bounded_filter(self.filters[name], name)
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
        return joined(list(pieces))

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Every call that a template makes passes here."""
        context.parent[_BUDGET].step()
        method = getattr(function, "__wrapped__", function)  # the sandbox wraps str.format
        owner = getattr(method, "__self__", None)
        if isinstance(owner, str):
            check_string_method(owner, method.__name__, args, kwargs)
            if method.__name__ == "join" and args:
                args = (joinable(owner, args[0]), *args[1:])
        return super().call(context, function, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Operations whose result can be far larger than what goes in; and lists and texts that are added."""
        check_operation(operator, left, right)
        result = super().call_binop(context, operator, left, right)
        if operator == "+" and isinstance(result, str | list | tuple):
            check_size(len(result))
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
        check_size(size)
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
        finalized(value), ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
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
    return joined([str(finalized(value)) for value in values])


def _string(value: Any) -> str:
    return soft_str(finalized(value))


@jinja2.pass_environment
def _sum(
    environment: jinja2.Environment, values: Iterable[Any], attribute: str | int | None = None, start: Any = 0
) -> Any:
    if not isinstance(start, int | float):
        raise SecurityError("only numbers can be summed")
    return _plain_sum(environment, values, attribute, start)
