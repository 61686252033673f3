"""`<tool_call><function=name><parameter=key>value</parameter></function></tool_call>`: Qwen3-Coder."""

from __future__ import annotations

from portico.text.tools.arguments import tagged
from portico.text.tools.format import Spelling, Toolbox, ToolFormat
from portico.text.tools.marked import marked, name_until, skip
from portico.text.tools.output import Output
from portico.text.tools.source import Source, Steps
from portico.text.tools.values import read_value

ENDS = ("\n</parameter>", "</parameter>")


def _body(source: Source, out: Output, toolbox: Toolbox, marker: str) -> Steps[bool]:
    if marker == "<tool_call>":
        yield from source.spaces()
        if not (yield from source.take("<function=")):
            return False
    name = yield from name_until(source, ">")
    if not name:
        return False
    yield from source.spaces()
    if (yield from source.take("</function>")):
        out.call(name)
        out.close()
    elif (yield from source.take("<parameter=")):
        out.call(name)
        if not (yield from _parameters(source, out, toolbox, name)):
            return True
    else:
        return False
    yield from skip(source, out, "</tool_call>")
    return True


def _parameters(source: Source, out: Output, toolbox: Toolbox, name: str) -> Steps[bool]:
    """All parameters, whose first tag has been begun; False if they break off."""
    before = "{"
    while True:
        key = yield from name_until(source, ">")
        if not key:
            return False
        yield from source.take("\n")
        out.arguments(before)
        before = ", "
        if not (yield from read_value(source, out.arguments, toolbox, name, key, ENDS)):
            return False
        yield from source.spaces()
        if not (yield from source.take("<parameter=")):
            out.arguments("}")
            yield from source.take("</function>")
            return True


QWEN3_CODER = ToolFormat(
    "qwen3_coder",
    marked(("<tool_call>", "<function="), _body),
    signs=("<function=", "<parameter="),
    markers=("<tool_call>", "</tool_call>"),
    spelling=Spelling(
        "<tool_call>\n<function=BARE>\n",
        "</function>\n</tool_call>",
        arguments=tagged("<parameter=KEY>\n", "\n</parameter>\n"),
    ),
    trigger="<function=",
    loose=("<tool_call>", "</tool_call>"),
)
