"""Calls that must be made, or must match their schema, as a grammar that the engine can follow."""

from __future__ import annotations

import json
from collections.abc import Sequence

from portico.errors import RequestError
from portico.protocol.sampling import Guided
from portico.text.grammar import check_grammar, compile_grammar
from portico.text.tools.arguments import Arguments
from portico.text.tools.format import Opening, Spelling, Toolbox, ToolFormat
from portico.text.tools.lark import ANY, Marker, lark_text, pattern, quoted, split

MOST_CALLS = 16
"""Calls in one answer that must have some: without an end a model might never find one."""


def forced_calls(spelling: Spelling, toolbox: Toolbox, names: Sequence[str], parallel: bool, marker: Marker) -> str:
    """An answer that is nothing but calls of these tools; arguments match their schemas."""
    count = MOST_CALLS if parallel else 1
    more = f" (between call){{0,{count - 1}}}" if count > 1 else ""
    rules = [
        f"start: opening call{more} closing",
        f"opening: {lark_text(spelling.opening, marker)}",
        f"between: {lark_text(spelling.between, marker)}",
        f"closing: {lark_text(spelling.closing, marker)}",
        *_call_rules(spelling, toolbox, names, marker, strict=frozenset(names)),
    ]
    return _checked("\n".join(rules))


def checked_calls(form: ToolFormat, toolbox: Toolbox, marker: Marker) -> str:
    """Any text; but where a call of a strict tool begins, one that matches its schema.

    RequestError if this form cannot be held to anything.
    """
    if form.spelling is not None and form.trigger:
        rules = _marked_calls(form, form.spelling, toolbox, marker)
    elif form.spelling is not None and form.opening is not None:
        rules = _bare_calls(form, form.spelling, form.opening, toolbox, marker)
    else:
        raise RequestError(
            f"tools: calls in the form {form.name} can only be held to strict schemas with tool_choice required, or a "
            "tool's name; leave strict out.",
            param="tools",
            code="unsupported_parameter",
        )
    return _checked("\n".join(rules))


def _marked_calls(form: ToolFormat, spelling: Spelling, toolbox: Toolbox, marker: Marker) -> list[str]:
    """From the trigger on a call of any of the tools."""
    trigger = form.trigger
    head = lark_text(spelling.opening, marker, behind=trigger)
    begins_list = trigger in spelling.opening
    rest = f"{head} call (between call)* closing" if begins_list else "call"
    is_token = marker(split(trigger, marker)[0]) is not None
    start = f"TEXT {lark_text(trigger, marker)}" if is_token else "trigger"
    parts = [f"{start} {rest}", *(f"TEXT {token}" for token in _tokens(form.loose, marker))]
    but = f" & ~/{ANY}({'|'.join(map(pattern, form.rivals))}){ANY}/" if form.rivals else ""
    return [
        f"start: ({' | '.join(parts)})* TEXT",
        *([] if is_token else [f"trigger[lazy]: TEXT {quoted(trigger)}"]),
        f"TEXT: /{ANY}/{but}",
        *([f"between: {lark_text(spelling.between, marker)}"] if begins_list else []),
        *([f"closing: {lark_text(spelling.closing, marker)}"] if begins_list else []),
        *_call_rules(
            spelling,
            toolbox,
            list(toolbox.schemas),
            marker,
            strict=toolbox.strict,
            behind="" if begins_list else trigger,
        ),
    ]


def _bare_calls(form: ToolFormat, spelling: Spelling, opening: Opening, toolbox: Toolbox, marker: Marker) -> list[str]:
    """Where it is clear that a strict tool is called, its arguments."""
    names = sorted(toolbox.strict)
    parts = [f"open_{number} call_{number}" for number in range(len(names))]
    parts += [f"TEXT {token}" for token in _tokens(form.loose, marker)]
    never = opening.never.replace("NAME", f"({'|'.join(map(pattern, names))})")
    but = f" & ~/{ANY}{never}{ANY}/" if never else ""
    but_earlier = f" & ~/{ANY}{never}(.|\\n)+/" if never else ""
    rules = [f"start: ({' | '.join(parts)})* TEXT", f"TEXT: /{ANY}/{but}"]
    for number, name in enumerate(names):
        begin = opening.begin.replace("NAME", pattern(name))
        call = [f"/{opening.behind}/"] * bool(opening.behind) + [f"args_{number}"]
        call += [f"/{opening.end}/"] * bool(opening.end)
        rules += [
            f"open_{number}[lazy]: OPEN_{number}",
            f"OPEN_{number}: /{begin}/{but_earlier}",
            f"call_{number}: {' '.join(call)}" + (f" | /{opening.otherwise}/" if opening.otherwise else ""),
            *spelling.arguments.rules(f"args_{number}", toolbox.schemas[name], marker),
        ]
    return rules


def _tokens(markers: Sequence[str], marker: Marker) -> list[str]:
    """Those of the markers that grammars know by their ids alone."""
    ids = map(marker, markers)
    return [f"<[{token_id}]>" for token_id in ids if token_id is not None]


def check_schemas(toolbox: Toolbox, names: Sequence[str], arguments: Arguments) -> None:
    """RequestError, naming the tool, for a schema that cannot be honoured in this way of writing arguments."""
    for place, (name, schema) in enumerate(toolbox.schemas.items()):
        if name not in names:
            continue
        field = f"tools.{place}.function.parameters"
        compile_grammar(Guided(kind="json", value=json.dumps(schema), field=field))
        if problem := arguments.problem(schema):
            raise RequestError(
                f"{field} cannot be honoured in the form in which this model writes calls: {problem}.",
                param=field,
                code="invalid_value",
            )


def _call_rules(
    spelling: Spelling,
    toolbox: Toolbox,
    names: Sequence[str],
    marker: Marker,
    *,
    strict: frozenset[str],
    behind: str = "",
) -> list[str]:
    rules = ["call: " + " | ".join(f"call_{number}" for number in range(len(names)))]
    for number, name in enumerate(names):
        begin, end = lark_text(spelling.starting(name), marker, behind=behind), lark_text(spelling.end, marker)
        rules.append(f"call_{number}: {begin} args_{number} {end}")
        schema = toolbox.schemas[name] if name in strict else None
        rules += spelling.arguments.rules(f"args_{number}", schema, marker)
    return rules


def _checked(lark: str) -> str:
    try:
        return check_grammar(lark)
    except ValueError as error:
        raise RequestError(f"tools cannot be honoured: {error}", param="tools", code="invalid_value") from error
