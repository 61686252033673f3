"""Calls as JSON objects, `{"name": …, "arguments": …}`, alone or in a list: what most formats are made of."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from portico.text.tools.output import Output
from portico.text.tools.source import SPACES, Say, Source, Steps

ARGUMENTS = ("arguments", "parameters")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
SCALAR = frozenset("0123456789+-.eEtrufalsn")
OUTSIDE = SCALAR | frozenset(",:" + SPACES)
"""Characters that JSON has outside of strings, besides brackets."""
MOST_NAME = 256

IsTool = Callable[[str], bool]


def json_calls(source: Source, out: Output, is_tool: IsTool, *, sure: bool) -> Steps[bool]:
    """An object that is a call, or a list of them; False if it is none, and then nothing of it has come out.

    `sure`: what stands before it says that it is a call, so that it is one without arguments too.
    """
    yield from source.spaces()
    if not (yield from source.take("[")):
        return (yield from json_call(source, out, is_tool, sure=sure))
    if not (yield from json_call(source, out, is_tool, sure=sure)):
        return False
    while True:
        source.keep("")
        yield from source.spaces()
        if not (yield from source.take(",")):
            yield from source.take("]")
            return True
        if not (yield from json_call(source, out, is_tool, sure=sure)):
            out.text(source.kept())
            return True


def json_call(source: Source, out: Output, is_tool: IsTool, *, sure: bool) -> Steps[bool]:
    """One object."""
    yield from source.spaces()
    if not (yield from source.take("{")):
        return False
    name, held, has_arguments, called = "", "", False, False
    while True:
        yield from source.spaces()
        key = yield from _key(source)
        if key is None:
            return called
        if key == "name":
            name = (yield from _string(source)) or ""
            if not is_tool(name):
                return called
        elif key in ARGUMENTS and not has_arguments:
            form = yield from _arguments_form(source)
            has_arguments = True
            pieces: list[str] = []
            if form and name:
                out.call(name)
                called = True
            if not form or not (yield from _arguments(source, form, out.arguments if called else pieces.append)):
                return called
            held = "".join(pieces)
        elif not (yield from json_value(source, _nowhere)):
            return called
        yield from source.spaces()
        if (yield from source.take("}")):
            break
        if not (yield from source.take(",")):
            return called
    if not called:
        if not name or not (sure or has_arguments):
            return False
        out.call(name)
        out.arguments(held)
    out.close()
    return True


def _key(source: Source) -> Steps[str | None]:
    """A key and the colon behind it."""
    key = yield from _string(source)
    yield from source.spaces()
    if key is None or not (yield from source.take(":")):
        return None
    yield from source.spaces()
    return key


def _string(source: Source) -> Steps[str | None]:
    """A string of moderate length, as names are, and as it is written: names need no escapes."""
    if not (yield from source.take('"')):
        return None
    pieces: list[str] = []
    if not (yield from _raw_string(source, pieces.append)):
        return None
    text = "".join(pieces)[:-1]
    return text if len(text) <= MOST_NAME else None


def _arguments_form(source: Source) -> Steps[str]:
    """What the value of `arguments` is, by its beginning; "" if it is not allowed, and null has been read."""
    first = yield from source.peek()
    if first == "n" and (yield from source.take("null")):
        return "null"
    return first if first in ("{", '"') else ""


def _arguments(source: Source, form: str, say: Say) -> Steps[bool]:
    """An object as it is, one that is written into a string without its quotes, or null, which is none."""
    if form == "null":
        return True
    if form == '"':
        yield from source.next()
        return (yield from _unescaped(source, say))
    return (yield from json_value(source, say))


def json_value(source: Source, say: Say) -> Steps[bool]:
    """Say one value as it is written; False if it breaks off, at the end of the text or at what JSON cannot have."""
    depth = 0
    while True:
        character = yield from source.peek()
        if character == '"':
            say((yield from source.next()))
            if not (yield from _raw_string(source, say)):
                return False
        elif character and character in "{[":
            depth += 1
            say((yield from source.next()))
        elif character and character in "}]" and depth:
            depth -= 1
            say((yield from source.next()))
        elif character and character in (OUTSIDE if depth else SCALAR):
            yield from source.run(OUTSIDE if depth else SCALAR, say)
        else:
            return False
        if depth == 0:
            return True


def _raw_string(source: Source, say: Say) -> Steps[bool]:
    """The rest of a string with its closing quote."""
    while True:
        yield from source.run_without('"\\', say)
        stop = yield from source.next()
        if not stop:
            return False
        say(stop)
        if stop == '"':
            return True
        say((yield from source.next()))


def _unescaped(source: Source, say: Say) -> Steps[bool]:
    """What the rest of a string stands for."""
    while True:
        yield from source.run_without('"\\', say)
        stop = yield from source.next()
        if stop in ("", '"'):
            return stop == '"'
        escape = yield from source.next()
        if escape == "u":
            say((yield from _unicode(source)))
        else:
            say(ESCAPES.get(escape, escape))


def _unicode(source: Source) -> Steps[str]:
    """The character behind backslash and u; two escapes may make one."""
    digits = yield from _digits(source)
    if re.fullmatch("[dD][89abAB]..", digits) and (yield from source.take("\\u")):
        digits += "\\u" + (yield from _digits(source))
    try:
        text = str(json.loads(f'"\\u{digits}"'))
        text.encode()
    except ValueError:
        return "\ufffd"
    return text


def _digits(source: Source) -> Steps[str]:
    digits = ""
    while len(digits) < 4 and (yield from source.peek()) in tuple("0123456789abcdefABCDEF"):
        digits += yield from source.next()
    return digits


def _nowhere(_: str) -> None:
    pass
