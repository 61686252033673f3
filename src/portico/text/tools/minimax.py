"""`<minimax:tool_call><invoke name="f"><parameter name="a">…</parameter></invoke></minimax:tool_call>`: MiniMax M2."""

from __future__ import annotations

from portico.text.tools.arguments import tagged
from portico.text.tools.format import Spelling, Toolbox, ToolFormat
from portico.text.tools.marked import marked, name_until
from portico.text.tools.output import Output
from portico.text.tools.source import Source, Steps
from portico.text.tools.values import Tags, read_tagged

TAG, END = "<minimax:tool_call>", "</minimax:tool_call>"
CALL = '<invoke name="'
TAGS = Tags('<parameter name="', '">', "", "</parameter>", "</invoke>")


def _body(source: Source, out: Output, toolbox: Toolbox, marker: str) -> Steps[bool]:
    if marker == TAG:
        yield from source.spaces()
        if not (yield from source.take(CALL)):
            return False
    if not (yield from _call(source, out, toolbox)):
        return False
    while True:
        source.keep("")
        yield from source.spaces()
        if (yield from source.take(END)):
            return True
        if not (yield from source.take(CALL)) or not (yield from _call(source, out, toolbox)):
            out.text(source.kept())
            return True


def _call(source: Source, out: Output, toolbox: Toolbox) -> Steps[bool]:
    """One call, whose tag has been begun; False if it is none."""
    name = yield from name_until(source, '">')
    return bool(name) and (yield from read_tagged(source, out, toolbox, name, TAGS))


MINIMAX_M2 = ToolFormat(
    "minimax_m2",
    marked((TAG, CALL), _body),
    signs=(TAG,),
    markers=(TAG, END),
    spelling=Spelling(
        '<invoke name="BARE">\n',
        "</invoke>\n",
        opening=TAG + "\n",
        between="",
        closing=END,
        arguments=tagged('<parameter name="KEY">', "</parameter>\n"),
    ),
    trigger=CALL,
    loose=(TAG, END),
)
