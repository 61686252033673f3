"""How Markdown looks in a terminal: left-aligned headings, code in the terminal's own colours, lines that fill."""

from __future__ import annotations

import re
from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.padding import Padding
from rich.syntax import Syntax
from rich.text import Text


class _Heading(Heading):
    """A heading at the left; rich's own first one is a box in the middle."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        self.text.stylize("bold" if self.tag not in ("h1", "h2") else "bold underline")
        yield self.text


class _Code(CodeBlock):
    """Code on the terminal's own background, so that it reads on dark and on light ones."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = Syntax(
            str(self.text).rstrip(), self.lexer_name, theme="ansi_dark", word_wrap=True, background_color="default"
        )
        yield Padding(code, (0, 0, 0, 2))


class _Markdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _Heading,
        "fence": _Code,
        "code_block": _Code,
    }


BREAK = "\x1f"
"""White space without a width: where a line may end between characters that are written without spaces."""
_WIDE = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\u3000-\u303f"
_OPENING = "（「『《〈【〔“‘"
_CLOSING = "，。、；：？！）」』》〉】〕”’…—～"
_BETWEEN = re.compile(
    rf"(?<=[{_WIDE}{_CLOSING}])(?<![{_OPENING}])(?=[^\s{_CLOSING}])|(?<=\w)(?=[{_WIDE}])(?![{_CLOSING}])"
)


def with_breaks(text: str) -> str:
    """Text with `BREAK` wherever a line of Chinese or Japanese may end; rich ends lines at white space only."""
    return _BETWEEN.sub(BREAK, text)


def without_breaks(text: str) -> str:
    """What was rendered, without them."""
    return text.replace(BREAK, "")


def render_markdown(text: str) -> RenderableType:
    """Something rich can print; it has `BREAK`s."""
    if not text.strip():
        return Text()
    page = _Markdown(text, hyperlinks=False, justify="left")
    for token in page.parsed:
        for child in token.children or ():
            if child.type == "text":
                child.content = with_breaks(child.content)
    return page
