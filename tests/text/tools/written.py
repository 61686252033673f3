"""Calls as each kind of model writes them, and an answer's pieces put together: the other side of the parsers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from portico.text.tools.format import Toolbox, ToolFormat
from portico.text.tools.output import Argued, Called, Piece, Said, Thought
from portico.text.tools.reader import ToolReader
from portico.text.tools.registry import BY_NAME

Call = tuple[str, dict[str, Any]]

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"enum": ["C", "F"]},
        "days": {"type": "integer"},
        "parts": {"type": "array", "items": {"type": "string"}},
        "deep": {"type": "object"},
        "on": {"type": "boolean"},
    },
}
TOOLBOX = Toolbox({"get_weather": SCHEMA, "f": SCHEMA, "nothing-at.all": {}})


def _object(call: Call, arguments: str = "arguments") -> str:
    return json.dumps({"name": call[0], arguments: call[1]}, ensure_ascii=False)


def _objects(calls: Sequence[Call]) -> str:
    return "[" + ", ".join(map(_object, calls)) + "]"


def _python(call: Call) -> str:
    return f"{call[0]}({', '.join(f'{key}={value!r}' for key, value in call[1].items())})"


def _bare(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _coder(call: Call) -> str:
    values = "".join(f"<parameter={key}>\n{_bare(value)}\n</parameter>\n" for key, value in call[1].items())
    return f"<tool_call>\n<function={call[0]}>\n{values}</function>\n</tool_call>"


def _glm45(call: Call) -> str:
    pairs = (f"<arg_key>{k}</arg_key>\n<arg_value>{_bare(v)}</arg_value>\n" for k, v in call[1].items())
    return f"<tool_call>{call[0]}\n{''.join(pairs)}</tool_call>"


def _deepseek(call: Call) -> str:
    block = f"```json\n{json.dumps(call[1], ensure_ascii=False)}\n```"
    return f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{call[0]}\n{block}<｜tool▁call▁end｜>"


def _deepseek31(call: Call) -> str:
    arguments = json.dumps(call[1], ensure_ascii=False)
    return f"<｜tool▁call▁begin｜>{call[0]}<｜tool▁sep｜>{arguments}<｜tool▁call▁end｜>"


KIMI = (
    "<|tool_calls_section_begin|>",
    "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
    "<|tool_calls_section_end|>",
)


def _kimi(call: Call) -> str:
    return f"{KIMI[1]}functions.{call[0]}:0{KIMI[2]}{json.dumps(call[1], ensure_ascii=False)}{KIMI[3]}"


def _harmony(call: Call) -> str:
    head = f"<|channel|>commentary to=functions.{call[0]} <|constrain|>json<|message|>"
    return head + json.dumps(call[1], ensure_ascii=False)


def _minimax(call: Call) -> str:
    values = "".join(f'<parameter name="{key}">{_bare(value)}</parameter>\n' for key, value in call[1].items())
    return f'<invoke name="{call[0]}">\n{values}</invoke>'


def _each(write: Callable[[Call], str], between: str = "\n") -> Callable[[Sequence[Call]], str]:
    return lambda calls: between.join(map(write, calls))


@dataclass(frozen=True, slots=True)
class Written:
    """One way in which the models of a format write calls."""

    form: ToolFormat
    write: Callable[[Sequence[Call]], str]
    fragments: tuple[str, ...]
    """What a text that is nearly a call is made of."""


def _w(name: str, write: Callable[[Sequence[Call]], str], *fragments: str) -> Written:
    return Written(BY_NAME[name], write, fragments)


WRITTEN = {
    "hermes": _w("hermes", _each(lambda c: f"<tool_call>\n{_object(c)}\n</tool_call>"), "<tool_call>", "</tool_call>"),
    "llama3_json": _w("llama3_json", _each(lambda c: _object(c, "parameters"), "; "), "<|python_tag|>", "; "),
    "llama3_tag": _w(
        "llama3_json", _each(lambda c: "<|python_tag|>" + _object(c, "parameters"), ""), "<|python_tag|>", ";"
    ),
    "pythonic": _w(
        "pythonic", lambda calls: f"[{', '.join(map(_python, calls))}]", "[", "f(", "city=", "'x'", ", ", ")", "]"
    ),
    "mistral": _w("mistral", lambda calls: "[TOOL_CALLS]" + _objects(calls), "[TOOL_CALLS]", "[ARGS]", "f", "[", "]"),
    "mistral_args": _w(
        "mistral", _each(lambda c: f"[TOOL_CALLS]{c[0]}[ARGS]{json.dumps(c[1])}", ""), "[TOOL_CALLS]f", "[CALL_ID]x"
    ),
    "internlm2": _w(
        "internlm2", _each(lambda c: f"<|action_start|><|plugin|>\n{_object(c, 'parameters')}<|action_end|>"),
        "<|action_start|>", "<|plugin|>", "<|action_end|>",
    ),
    "qwen3_coder": _w(
        "qwen3_coder", _each(_coder),
        "<tool_call>", "<function=", "f>", "<parameter=", "city>", "\n</parameter>", "</function>", "</tool_call>",
    ),
    "deepseek_v3": _w(
        "deepseek_v3", lambda calls: f"<｜tool▁calls▁begin｜>{_each(_deepseek)(calls)}<｜tool▁calls▁end｜>",
        "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "function", "<｜tool▁sep｜>", "f\n", "```json", "```",
    ),
    "deepseek_v31": _w(
        "deepseek_v31", lambda calls: f"<｜tool▁calls▁begin｜>{_each(_deepseek31, '')(calls)}<｜tool▁calls▁end｜>",
        "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>f", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>",
    ),
    "glm4": _w("glm4", _each(lambda c: f"{c[0]}\n{json.dumps(c[1])}"), "f\n", "get_weather", "\n"),
    "glm45": _w(
        "glm45", _each(_glm45),
        "<tool_call>f", "<arg_key>", "city", "</arg_key>", "<arg_value>", "</arg_value>", "</tool_call>",
    ),
    "granite": _w("granite", lambda calls: "<|tool_call|>" + _objects(calls), "<|tool_call|>", "[", "]"),
    "phi4": _w("phi4", lambda calls: "functools" + _objects(calls), "functools", "functools[", "]"),
    "phi4_tag": _w("phi4", lambda calls: f"<|tool_call|>{_objects(calls)}<|/tool_call|>", "<|tool_call|>", "[", "]"),
    "functionary": _w(
        "functionary", _each(lambda c: f"<function={c[0]}>{json.dumps(c[1])}</function>"),
        "<function=", "f>", "</function>",
    ),
    "kimi_k2": _w(
        "kimi_k2", lambda calls: f"{KIMI[0]}{_each(_kimi, '')(calls)}{KIMI[4]}", *KIMI, "functions.f:0", "f", "\n",
    ),
    "harmony": _w(
        "harmony", lambda calls: _each(_harmony, "<|call|><|start|>assistant")(calls) + "<|call|>",
        "<|start|>assistant", "<|channel|>", "analysis", "final", "commentary", " to=functions.f", " ",
        "<|constrain|>json", "<|message|>", "<|end|>", "<|call|>",
    ),
    "hunyuan": _w(
        "hunyuan", lambda calls: f"<tool_calls>{_objects(calls)}</tool_calls>",
        "<tool_calls>", "[", "]", "</tool_calls>",
    ),
    "hunyuan_lines": _w(
        "hunyuan", lambda calls: f"<tool_calls>\n{_each(_object)(calls)}\n</tool_calls>",
        "<tool_calls>", "</tool_calls>",
    ),
    "minimax_m2": _w(
        "minimax_m2", lambda calls: f"<minimax:tool_call>\n{_each(_minimax)(calls)}\n</minimax:tool_call>",
        "<minimax:tool_call>", '<invoke name="f">', '<parameter name="city">', "</parameter>", "</invoke>",
        "</minimax:tool_call>",
    ),
    "json_list": _w("json_list", _objects, "[", "]"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Read:
    """An answer as it was understood."""

    said: str
    calls: tuple[tuple[str, str], ...]
    thought: str = ""

    @property
    def parsed(self) -> list[Call]:
        return [(name, json.loads(arguments)) for name, arguments in self.calls]


def add_up(pieces: Iterable[Piece]) -> Read:
    """The sum of pieces, which must come in an order that a client understands."""
    said, thought, names, arguments = "", "", [], []
    for piece in pieces:
        match piece:
            case Said(text):
                assert text
                said += text
            case Thought(text):
                assert text
                thought += text
            case Called(index, name):
                assert index == len(names)
                names.append(name)
                arguments.append("")
            case Argued(index, text):
                assert index == len(names) - 1
                assert text
                arguments[index] += text
    return Read(said, tuple(zip(names, arguments, strict=True)), thought)


def read(
    form: ToolFormat, text: str, cuts: Iterable[int] = (), toolbox: Toolbox = TOOLBOX, most_calls: int | None = None
) -> Read:
    """Understand a text that comes in pieces."""
    reader = ToolReader(form, toolbox, most_calls)
    places = [0, *sorted({cut for cut in cuts if 0 < cut < len(text)}), len(text)]
    pieces: list[Piece] = []
    for start, end in pairwise(places):
        pieces += reader.push(text[start:end])
    return add_up([*pieces, *reader.end()])


def schemas(arguments: Mapping[str, Any]) -> Toolbox:
    """A toolbox whose one tool has these parameters."""
    return Toolbox({"f": {"type": "object", "properties": dict(arguments)}})
