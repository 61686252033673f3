"""From what a request says its answer must look like to a grammar that the engine can follow.

Grammars are llguidance's own (https://github.com/guidance-ai/llguidance): JSON schemas, regular expressions, Lark.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from llguidance import LLMatcher
from llguidance.gbnf_to_lark import any_to_lark

from portico.errors import RequestError
from portico.protocol.limits import LIMITS
from portico.protocol.sampling import Guided

ONE_SPACE = "[ ]?"
"""Whitespace between the parts of JSON unless a request says otherwise: with more a model might never end."""
JSON_SPACE = {"x-guidance": {"whitespace_pattern": ONE_SPACE}}
"""The same, as a part of a schema."""


def compile_grammar(guided: Guided) -> str:
    """The grammar in llguidance's form; RequestError naming the field if it cannot be honoured."""
    if len(guided.value) > LIMITS.grammar_characters:
        raise _error(guided, f"has {len(guided.value)} characters; at most {LIMITS.grammar_characters} are allowed")
    grammar = _compile(guided)
    failed, messages = LLMatcher.validate_grammar_with_warnings(grammar)
    if failed:
        raise _error(guided, f"cannot be honoured: {messages[0].strip()}")
    return grammar


def check_grammar(lark: str) -> str:
    """A Lark grammar of ours in llguidance's form; ValueError if it cannot be honoured."""
    grammar = LLMatcher.grammar_from_lark(lark)
    failed, messages = LLMatcher.validate_grammar_with_warnings(grammar)
    if failed:
        raise ValueError(messages[0].strip())
    return grammar


def joined(lark: str, parts: Mapping[str, str]) -> str:
    """A grammar that refers to others, which are compiled, as @name."""
    grammars: list[dict[str, Any]] = [{"lark_grammar": lark}]
    for name, part in parts.items():
        compiled = part.lstrip().startswith("{")
        first, *rest = json.loads(part)["grammars"] if compiled else [{"lark_grammar": part}]
        grammars += [{**first, "name": name}, *rest]
    return json.dumps({"grammars": grammars}, ensure_ascii=False)


def _compile(guided: Guided) -> str:
    match guided.kind:
        case "json":
            schema = _schema(guided)
            overrides: dict[str, Any] = {"whitespace_pattern": guided.whitespace or ONE_SPACE}
            try:
                return LLMatcher.grammar_from_json_schema(schema, overrides=overrides)  # type: ignore[arg-type]
            except ValueError as error:  # a number of more than 64 bits
                raise _error(guided, f"cannot be honoured: {str(error)[:200]}") from error
        case "regex":
            return LLMatcher.grammar_from_regex(guided.value)
        case "choice":
            quoted = (json.dumps(choice, ensure_ascii=False) for choice in json.loads(guided.value))
            return LLMatcher.grammar_from_lark("start: " + " | ".join(quoted))
        case "lark":
            return LLMatcher.grammar_from_lark(_lark(guided))


def _lark(guided: Guided) -> str:
    """The grammar in Lark's form, whichever it is in."""
    try:
        return any_to_lark(guided.value)
    except Exception as error:  # the converter's own kinds of ValueError, and what it does not foresee
        raise _error(guided, f"is neither Lark nor GBNF: {error}") from error


def _schema(guided: Guided) -> dict[str, Any]:
    try:
        schema = json.loads(guided.value)
    except (ValueError, RecursionError) as error:
        raise _error(guided, f"is not JSON: {error}") from error
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    if not isinstance(schema, dict):
        raise _error(guided, "is not a JSON schema: an object is expected")
    if (depth := _depth(schema)) > LIMITS.grammar_depth:
        raise _error(guided, f"is nested {depth} deep; at most {LIMITS.grammar_depth} levels are allowed")
    return schema


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _error(guided: Guided, what: str) -> RequestError:
    return RequestError(f"{guided.field} {what}.", param=guided.field, code="invalid_value")
