"""What an answer must look like, in each of the ways in which servers let a request say it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from portico.errors import RequestError
from portico.protocol.sampling import Guided

if TYPE_CHECKING:
    from portico.server.doors.openai.generation import GenerationBody

ANY_OBJECT = '{"type": "object"}'


def read_guided(body: GenerationBody) -> Guided | None:
    """The one wish of a body, or None; RequestError if there are two, or one that cannot be read."""
    wishes = [
        *_vllm(body.guided_json, body.guided_regex, body.guided_choice, body.guided_grammar),
        *_response_format(body.response_format),
        *_structured_outputs(body.structured_outputs),
    ]
    if not wishes:
        if body.guided_whitespace_pattern is not None:
            raise _wrong("guided_whitespace_pattern", "needs guided_json")
        return None
    if len(wishes) > 1:
        raise _wrong(wishes[1].field, f"cannot be combined with {wishes[0].field}: an answer has one form")
    wish = wishes[0]
    if body.guided_whitespace_pattern is None:
        return wish
    return Guided(kind=wish.kind, value=wish.value, whitespace=body.guided_whitespace_pattern, field=wish.field)


def _vllm(schema: Any, regex: str | None, choices: list[str] | None, grammar: str | None) -> list[Guided]:
    wishes = []
    if schema is not None:
        wishes.append(Guided(kind="json", value=_text(schema), field="guided_json"))
    if regex is not None:
        wishes.append(Guided(kind="regex", value=regex, field="guided_regex"))
    if choices is not None:
        wishes.append(_choice(choices, "guided_choice"))
    if grammar is not None:
        wishes.append(Guided(kind="lark", value=grammar, field="guided_grammar"))
    return wishes


def _response_format(wish: Mapping[str, Any] | None) -> list[Guided]:
    """OpenAI's, with MLC LLM's schema beside json_object and LMDeploy's regex_schema."""
    if wish is None:
        return []
    kind, field = wish.get("type"), "response_format"
    match kind:
        case "text":
            return []
        case "json_object":
            schema = wish.get("schema", wish.get("json_schema"))
            return [Guided(kind="json", value=ANY_OBJECT if schema is None else _text(schema), field=field)]
        case "json_schema":
            inner = wish.get("json_schema")
            schema = inner.get("schema", inner.get("json_schema")) if isinstance(inner, Mapping) else None
            if schema is None:
                raise _wrong(f"{field}.json_schema", "must be an object with the schema under 'schema'")
            return [Guided(kind="json", value=_text(schema), field=field)]
        case "regex_schema":
            if not isinstance(wish.get("regex_schema"), str):
                raise _wrong(f"{field}.regex_schema", "must be a regular expression as a string")
            return [Guided(kind="regex", value=wish["regex_schema"], field=field)]
    raise _wrong(f"{field}.type", f"is {kind!r}; it must be text, json_object, json_schema or regex_schema")


def _structured_outputs(wish: Mapping[str, Any] | None) -> list[Guided]:
    """vLLM's newer form."""
    if wish is None:
        return []
    field = "structured_outputs"
    given = {name: value for name, value in wish.items() if value is not None and value is not False}
    whitespace = given.pop("whitespace_pattern", None)
    if len(given) != 1:
        raise _wrong(field, f"has {sorted(given)}; it must have one of json, regex, choice, grammar and json_object")
    name, value = next(iter(given.items()))
    match name, value:
        case "json", str() | dict():
            return [Guided(kind="json", value=_text(value), whitespace=whitespace, field=f"{field}.json")]
        case "json_object", True:
            return [Guided(kind="json", value=ANY_OBJECT, whitespace=whitespace, field=f"{field}.json_object")]
        case "regex", str():
            return [Guided(kind="regex", value=value, field=f"{field}.regex")]
        case "grammar", str():
            return [Guided(kind="lark", value=value, field=f"{field}.grammar")]
        case "choice", list():
            return [_choice(value, f"{field}.choice")]
    raise _wrong(f"{field}.{name}", "is not supported, or not of the right kind")


def _choice(choices: list[Any], field: str) -> Guided:
    if not choices or not all(isinstance(choice, str) and choice for choice in choices):
        raise _wrong(field, "must be a list of at least one string, none of them empty")
    return Guided(kind="choice", value=json.dumps(choices), field=field)


def _text(schema: Any) -> str:
    return schema if isinstance(schema, str) else json.dumps(schema)


def _wrong(field: str, what: str) -> RequestError:
    return RequestError(f"{field} {what}.", param=field, code="invalid_value")
