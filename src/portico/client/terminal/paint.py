"""Text that is written while one looks: what is finished goes up into the terminal's memory, the rest is drawn anew."""

from __future__ import annotations

import io
import re
import time
from itertools import pairwise

from markdown_it import MarkdownIt
from rich.console import Console, RenderableType
from rich.text import Text

from portico.client.terminal.markdown import render_markdown, with_breaks, without_breaks
from portico.client.terminal.plain import printable

FRAME_SECONDS = 0.05
"""Between pictures; more where drawing one takes long, so that at most a fifth of the time is spent on it."""

_STYLE = re.compile("\x1b\\[[0-9;]*m")


def thought(text: str) -> RenderableType:
    """Reasoning: dim; `Growing` sets a bar before each line."""
    return Text(with_breaks(text.strip("\n")), style="dim italic")


class Growing:
    """A text that grows on the screen.

    Lines that will not change any more are printed once, for good; the others, at most as many as the screen has, are
    drawn over the last picture in one write. So nothing flickers and nothing is there twice, however long it gets.
    """

    def __init__(self, console: Console, *, markdown: bool = True, bar: str = "") -> None:
        """`markdown`: whether the text is; `bar` stands before each line."""
        self._console = console
        self._markdown = markdown
        self._bar = bar
        self._parser = MarkdownIt().enable("strikethrough").enable("table")
        self._pending = ""
        self._shown: list[str] = []
        """The lines of the picture that will be drawn over."""
        self._given = 0
        """How many lines of the pending text's last block are printed for good."""
        self._begun = False
        self._next = 0.0

    def add(self, text: str) -> None:
        """More of it has come."""
        self._pending += printable(text)
        if time.monotonic() >= self._next:
            begun = time.monotonic()
            self._draw()
            ended = time.monotonic()
            self._next = ended + max(FRAME_SECONDS, 4 * (ended - begun))

    def end(self) -> bool:
        """All of it has come: what is left is printed for good; says whether there was any."""
        left = bool(self._pending.strip())
        self._draw(final=True)
        return left

    def clear(self) -> None:
        """Take away what is not printed for good."""
        self._pending = ""
        self._write([], [])

    def _draw(self, *, final: bool = False) -> None:
        done: list[str] = []
        for block in self._finished(final=final):
            done += self._spaced(self._lines(block))
        last = [] if final else self._lines(self._pending)
        if last and self._begun:
            last = ["", *last]
        excess = len(last) - self._given - max(1, self._console.height - 2)
        if excess > 0 and not self._is_table():
            done += last[self._given : self._given + excess]
            self._given += excess
        self._write(done, last[self._given :][-max(1, self._console.height - 2) :])

    def _spaced(self, lines: list[str]) -> list[str]:
        if not lines:
            return []
        fresh = [*([""] if self._begun else []), *lines][self._given :]
        self._begun, self._given = True, 0
        return fresh

    def _finished(self, *, final: bool) -> list[str]:
        """Blocks of the pending text that nothing can be added to; they are pending no more."""
        if not self._markdown:
            blocks, self._pending = ([self._pending], "") if final else ([], self._pending)
            return [block for block in blocks if block.strip()]
        starts = {token.map[0] for token in self._parser.parse(self._pending) if token.level == 0 and token.map}
        lines = re.split(r"(?<=\n)", self._pending)
        edges = [0, *sorted(starts)[1:], len(lines)]
        blocks = ["".join(lines[start:end]) for start, end in pairwise(edges)]
        if not final and blocks:
            self._pending = blocks.pop()
        elif final:
            self._pending = ""
        return blocks

    def _is_table(self) -> bool:
        return any(token.type == "table_open" for token in self._parser.parse(self._pending))

    def _lines(self, text: str) -> list[str]:
        if not text.strip():
            return []
        width = max(10, self._console.width - len(self._bar))
        buffer = io.StringIO()
        console = Console(
            file=buffer,
            width=width,
            force_terminal=self._console.is_terminal,
            color_system=self._console.color_system,  # type: ignore[arg-type]
            legacy_windows=False,
            _environ={},
        )
        console.print(render_markdown(text) if self._markdown else thought(text), end="")
        lines = [line.rstrip() for line in without_breaks(buffer.getvalue()).split("\n")]
        filled = [place for place, line in enumerate(lines) if _STYLE.sub("", line).strip()]
        lines = lines[filled[0] : filled[-1] + 1] if filled else []
        return [f"\x1b[2m{self._bar}\x1b[0m{line}" if self._bar else line for line in lines]

    def _write(self, done: list[str], last: list[str]) -> None:
        if not done and last == self._shown:
            return
        up = len(self._shown)
        parts = ["\x1b[?2026h\x1b[?25l", f"\x1b[{up}F" if up else "\r"]
        parts += [f"{line}\x1b[K\n" for line in (*done, *last)]
        parts.append("\x1b[J\x1b[?25h\x1b[?2026l")
        self._shown = last
        file = self._console.file
        file.write("".join(parts))
        file.flush()
