"""GLM-4: a line with the name, a line with the arguments. GLM-4.5: keys and values between tags."""

from __future__ import annotations

from portico.text.tools.arguments import tagged
from portico.text.tools.format import Opening, Spelling, Toolbox, ToolFormat
from portico.text.tools.json_calls import json_value
from portico.text.tools.lark import ANY
from portico.text.tools.marked import marked
from portico.text.tools.output import Output
from portico.text.tools.source import Source, Steps
from portico.text.tools.values import Tags, read_tagged

TAGS = Tags("<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "</tool_call>")


def _read_lines(source: Source, out: Output, toolbox: Toolbox) -> Steps[None]:
    """Nothing marks a call but the name of a tool that is offered, alone in its line."""
    markers = tuple(f"{name}\n{{" for name in toolbox.schemas)
    return (yield from marked(markers, _line, fresh_line=frozenset(markers))(source, out, toolbox))


def _line(source: Source, out: Output, toolbox: Toolbox, marker: str) -> Steps[bool]:
    out.call(marker[:-2])
    source.unread("{")
    yield from json_value(source, out.arguments)
    return True


def _tagged(source: Source, out: Output, toolbox: Toolbox, marker: str) -> Steps[bool]:
    yield from source.spaces()
    name = yield from source.run_without("<\n{}\"'")
    name = name.strip()
    yield from source.spaces()
    if not name or (yield from source.peek()) != "<":
        return False
    return (yield from read_tagged(source, out, toolbox, name, TAGS))


GLM4 = ToolFormat(
    "glm4",
    _read_lines,
    signs=("[gMASK]",),
    spelling=Spelling("BARE\n", between="\n"),
    opening=Opening(rf"({ANY}\n)?[ \t\r]*NAME\n", otherwise=r"[^{]"),
)
GLM45 = ToolFormat(
    "glm45",
    marked(("<tool_call>",), _tagged),
    signs=("<arg_key>",),
    markers=("<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"),
    spelling=Spelling(
        "<tool_call>BARE\n",
        "</tool_call>",
        arguments=tagged("<arg_key>KEY</arg_key>\n<arg_value>", "</arg_value>\n"),
    ),
    trigger="<tool_call>",
)
