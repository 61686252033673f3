"""How forms write a call's arguments, as rules of a grammar that a tool's schema makes.

Each way of writing gives the rules that begin with one of a wanted name. Where arguments are no JSON as a whole, their
names come in the order of the schema, only those that it describes, and a schema that cannot be followed so has a
problem.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from portico.text.grammar import JSON_SPACE, check_grammar
from portico.text.tools.kinds import kinds_of
from portico.text.tools.lark import ANY, Marker, lark_text, pattern, quoted

Schema = Mapping[str, Any]
ANY_OBJECT: Schema = {"type": "object"}

KEYWORDS = frozenset(
    "minProperties maxProperties patternProperties propertyNames dependentRequired dependentSchemas dependencies "
    "allOf anyOf oneOf not if then else $ref $dynamicRef enum const".split()
)
"""Of an object, what says more than which properties it has."""
LIMITS = frozenset(["minLength", "maxLength", "pattern", "format"])
"""Of a string, what says which it may be."""
ANNOTATIONS = frozenset("title description default examples deprecated readOnly writeOnly $comment".split())
SHARED = ("$defs", "definitions")
"""Where an object's schema keeps what its properties refer to."""
DATE, TIME = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])", r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
ZONE = r"(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
FORMATS = {
    "date": DATE,
    "time": TIME + ZONE,
    "date-time": f"{DATE}T{TIME}{ZONE}",
    "uuid": "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
}
"""Formats of bare strings that can be followed."""


class Arguments(Protocol):
    """A way of writing arguments."""

    def rules(self, name: str, schema: Schema | None, marker: Marker) -> list[str]:
        """Rules of Lark for arguments that match `schema`, any if it is None; the first is called `name`."""

    def problem(self, schema: Schema) -> str:
        """What about a schema cannot be followed in this way of writing; "" if all can."""


class AsJson:
    """All arguments as one JSON object."""

    def rules(self, name: str, schema: Schema | None, marker: Marker) -> list[str]:
        """One rule."""
        return [f"{name}: {json_value(ANY_OBJECT if schema is None else schema)}"]

    def problem(self, schema: Schema) -> str:
        """Whatever llguidance cannot follow, it says itself."""
        return ""


JSON_OBJECT = AsJson()


def json_value(schema: Schema) -> str:
    """JSON that matches a schema, in Lark."""
    return "%json " + json.dumps({**schema, **JSON_SPACE}, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class OneByOne:
    """Arguments one after another, each with its name; `write` gives the rules of one value."""

    before: str
    """Stands before a value; KEY is the argument's name."""
    after: str
    """Stands behind it."""
    between: str
    keys: re.Pattern[str]
    """Names that arguments can have."""
    write: Callable[[str, Schema, str, Marker], list[str]]
    """The rules, from their name, a schema and what stands behind the value."""
    write_problem: Callable[[Schema, str], str]

    def rules(self, name: str, schema: Schema | None, marker: Marker) -> list[str]:
        """A rule for what may come as the first argument, as the next, and for each of them."""
        if schema is None:
            return self._any(name, marker)
        made: list[str] = []
        first: list[str] = []
        more: list[str] = []
        properties = list(_properties(schema))
        needed = schema.get("required") or ()
        for place, (key, described) in enumerate(properties):
            item, is_needed = f"{name}_{place}", key in needed
            made += self._item(item, lark_text(self.before.replace("KEY", key), marker), described, marker)
            later = f"{name}_more_{place + 1}"
            follows = f"{lark_text(self.between, marker)} {item}"
            without = "" if is_needed else f" | {name}_first_{place + 1}"
            first.append(f"{name}_first_{place}: {item} {later}{without}")
            more.append(f"{name}_more_{place}: {follows if is_needed else f'({follows})?'} {later}")
        end = len(properties)
        ends = [f'{name}_first_{end}: ""', f'{name}_more_{end}: ""']
        return [f"{name}: {name}_first_0", *first, *more[1:], *(ends if end else ends[:1]), *made]

    def problem(self, schema: Schema) -> str:
        """A keyword, or the name of an argument, that cannot be followed."""
        for keyword in sorted(KEYWORDS & schema.keys()):
            return keyword
        if any(not ref.startswith(tuple(f"#/{place}/" for place in SHARED)) for ref in _references(schema)):
            return "$ref"
        properties = schema.get("properties") or {}
        for key in schema.get("required") or ():
            if key not in properties:
                return f"required {key!r}, which properties lacks"
        for key, described in _properties(schema):
            if not self.keys.fullmatch(key):
                return f"properties.{key}: no such name"
            if wrong := self.write_problem(described, self.after):
                return f"properties.{key}.{wrong}"
        return ""

    def _item(self, name: str, before: str, schema: Schema, marker: Marker) -> list[str]:
        return [f"{name}: {before} {name}_value", *self.write(f"{name}_value", schema, self.after, marker)]

    def _any(self, name: str, marker: Marker) -> list[str]:
        before, behind = self.before.split("KEY")
        key = f"{lark_text(before, marker)} {name.upper()}_KEY {lark_text(behind, marker)}"
        return [
            f"{name}: {name}_item*",
            *self._item(f"{name}_item", key, {"type": "string"}, marker),
            f"{name.upper()}_KEY: /[A-Za-z0-9_.-]{{1,64}}/",
        ]


def _properties(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """The arguments that may be written, each with a schema that stands for itself."""
    shared = {place: schema[place] for place in SHARED if place in schema}
    for key, described in (schema.get("properties") or {}).items():
        if isinstance(described, Mapping):
            # A bare string needs none of what is shared, and would have it as a keyword too many.
            yield key, described if kinds_of(described) <= {"string"} else {**described, **shared}
        elif described is not False:
            yield key, {"type": "string"}


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference
        schema = list(schema.values())
    if isinstance(schema, Sequence) and not isinstance(schema, str):
        for part in schema:
            yield from _references(part)


def tagged(before: str, after: str) -> OneByOne:
    """Between tags, strings as they are and all else as JSON; `after` begins with the whitespace that is no value's."""
    return OneByOne(before, after, "", re.compile(r"[^\s<>{}\"'][^\n<>{}\"']*(?<!\s)"), _bare, _bare_problem)


def _bare(name: str, schema: Schema, after: str, marker: Marker) -> list[str]:
    """A string is told from what stands behind it by that alone."""
    if not kinds_of(schema) <= {"string"}:
        return [f"{name}: {json_value(schema)} {lark_text(after, marker)}"]
    end, tail = after.rstrip("\n"), after[len(after.rstrip("\n")) :]
    tag = end.strip()
    text = f"{_text(schema)} & ~/{ANY}{pattern(tag)}{ANY}/"
    upper = name.upper()
    if marker(tag) is not None:
        return [f"{name}: {upper} {lark_text(after, marker)}", f"{upper}: {text}"]
    return [
        f"{name}: {name}_text {lark_text(tail, marker)}",
        f"{name}_text[lazy]: {upper} {quoted(end)}",
        f"{upper}: {text}",
    ]


def _text(schema: Schema) -> str:
    """A regular expression of the strings that a schema allows."""
    if (options := _options(schema)) is not None:
        return f"/{'|'.join(map(pattern, options))}/"
    most = schema.get("maxLength", "")
    parts = [f"/(.|\\n){{{schema.get('minLength', 0)},{most}}}/" if "minLength" in schema or most != "" else f"/{ANY}/"]
    if "pattern" in schema:
        parts.append(f"/{_searched(schema['pattern'])}/")
    if "format" in schema:
        parts.append(f"/{FORMATS[schema['format']]}/")
    return " & ".join(parts)


def _options(schema: Schema) -> list[str] | None:
    """The strings of which it must be one."""
    if "const" in schema:
        return [schema["const"]]
    options: list[str] | None = schema.get("enum")
    return options


def _searched(expression: str) -> str:
    """A regular expression that stands anywhere in a text, unless it says that it does not."""
    body, begin, end = expression, ANY, ANY
    if body.startswith("^"):
        body, begin = body[1:], ""
    if body.endswith("$") and not body.endswith("\\$"):
        body, end = body[:-1], ""
    body = re.sub(r"(?<!\\)/", r"\\/", body)
    return f"{begin}({body}){end}"


def _bare_problem(schema: Schema, after: str) -> str:
    if not kinds_of(schema) <= {"string"}:
        return ""
    for keyword in sorted((KEYWORDS & schema.keys()) - {"enum", "const"}):
        return keyword
    if schema.get("format", "date") not in FORMATS:
        return f"format {schema['format']!r}"
    options = _options(schema)
    if options is not None:
        if LIMITS & schema.keys() or {"enum", "const"} <= schema.keys():
            return "enum beside other keywords"
        if any(not isinstance(option, str) or after.strip() in option for option in options):
            return "enum"
    try:
        check_grammar(f"start: TEXT\nTEXT: {_text(schema)}")
    except (ValueError, TypeError):
        return "pattern"
    return ""


def pythonic() -> OneByOne:
    """`key=value`, values as Python's literals or as JSON."""
    return OneByOne("KEY=", "", ", ", re.compile(r"[^\W\d]\w*"), _literal, lambda schema, after: "")


def _literal(name: str, schema: Schema, after: str, marker: Marker) -> list[str]:
    if schema.keys() <= {"type", *ANNOTATIONS, *SHARED} and schema.get("type") == "boolean":
        return [f'{name}: "True" | "False"']
    return [f"{name}: {json_value(schema)}"]
