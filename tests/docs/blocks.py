"""The code blocks of a page of Markdown, and what the comments before them say about running them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it import MarkdownIt

RUN = ("sh", "python")
SHOWN = ("text", "json", "yaml", "toml")
MARK = re.compile(r"<!-- (not run|typed): (.+?) -->", re.DOTALL)
TITLE = re.compile(r'title="([^"]+)"')
SERVES = re.compile(
    r"(\.venv/bin/)?portico serve\b|python -m portico\.(rest|serve\.server|entrypoints)[\w.]*"
    r"|python scripts/openai_server_demo/"
)
"""What begins a command that runs until it is ended."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block as a reader sees it; what is indented is taken for a shell's."""

    language: str
    code: str
    line: int
    not_run: str = ""
    """Why it cannot run in a test."""
    typed: str = ""
    """What a person answers it."""
    shows: str = ""
    """What the page shows as its output, … standing for anything."""
    title: str = ""
    """The file in which the blocks behind it find the code; such a block is not run by itself."""

    @property
    def servers(self) -> list[str]:
        """The commands of a block that starts servers, in order; empty for any other block."""
        if self.language != "sh" or self.not_run:
            return []
        return [command for command in commands(self.code) if SERVES.match(command) and "--help" not in command]


def commands(code: str) -> list[str]:
    """The commands of a shell's block without their comments, each on one line."""
    lines = (re.sub(r"(^|\s)#\s.*", "", line).strip() for line in code.replace("\\\n", " ").splitlines())
    return [line for line in lines if line]


def blocks(page: str) -> Iterator[Block]:
    """Every block of a page, in order; a text that comes right behind a block that is run is that one's output."""
    tokens = [token for token in MarkdownIt("commonmark").parse(page) if token.block]
    for before, token, behind in zip([None, *tokens], tokens, [*tokens[1:], None], strict=False):
        if token.type not in ("fence", "code_block"):
            continue
        marks: dict[str, str] = {}
        if before is not None and before.type == "html_block":
            marks = dict(MARK.findall(before.content))
        language, _, options = token.info.strip().partition(" ") if token.type == "fence" else ("sh", "", "")
        title = TITLE.search(options)
        shows = behind.content if behind is not None and behind.type == "fence" and behind.info == "text" else ""
        assert token.map is not None
        yield Block(
            language,
            token.content,
            token.map[0] + 1,
            marks.get("not run", ""),
            marks.get("typed", "").replace("\\n", "\n"),
            shows if language in RUN else "",
            title[1] if title else "",
        )


def is_like(output: str, shown: str) -> bool:
    """Whether an output is what a page shows, … standing for anything within a line or for whole lines."""
    pattern = r"[^\n]*".join(map(re.escape, shown.strip().split("…")))
    pattern = re.sub(r"(?m)^\[\^\\n\]\*$", r".*", pattern)  # a line that is nothing else
    return re.search(pattern, output, re.DOTALL) is not None
