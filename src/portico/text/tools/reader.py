"""An answer's text, read as it comes: what is said, and which tools are called."""

from __future__ import annotations

import re
from collections.abc import Sequence

from portico.text.tools.format import Toolbox, ToolFormat
from portico.text.tools.output import Called, Enough, Output, Piece, Said
from portico.text.tools.source import Source


class ToolReader:
    """Reads the text of one choice. However the text is split, the pieces add up to the same."""

    def __init__(
        self, form: ToolFormat, toolbox: Toolbox, most_calls: int | None = None, must_call: Sequence[str] = ()
    ) -> None:
        """`must_call`: the tools of which some must be called, so that the answer is nothing but calls.

        Then nothing is said, and a call that is cut off before its arguments is one all the same.
        """
        self._source = Source()
        self._output = Output(most_calls)
        self._calls = 0
        self._reading = form.read(self._source, self._output, toolbox)
        self._form = form
        self._must_call = must_call
        self._unsaid = ""
        self.done = False
        """Whether all calls that are wanted have been made, so that the answer ends here."""

    @property
    def frames(self) -> bool:
        """Whether it reads all that the model writes, what is thought too."""
        return self._form.frames

    @property
    def thinks(self) -> bool:
        """Whether what was read last is thought and goes on."""
        return self._output.thinks

    @property
    def calls(self) -> int:
        """Calls so far."""
        return self._calls

    def push(self, text: str) -> list[Piece]:
        """What is certain once this text is known too."""
        self._source.push(text)
        self._go_on()
        return self._pieces()

    def end(self) -> list[Piece]:
        """The rest, when there will be no more text."""
        self._source.ended = True
        self._go_on()
        self._output.end()
        pieces = self._pieces()
        if (name := self._cut_off()) is not None:
            pieces.append(Called(self._calls, name))
            self._calls += 1
        return pieces

    def _pieces(self) -> list[Piece]:
        """What is new, without what is said where there must be calls alone."""
        pieces: list[Piece] = []
        for piece in self._output.drain():
            if isinstance(piece, Said) and self._must_call:
                self._unsaid += piece.text
                continue
            if isinstance(piece, Called):
                self._unsaid = ""
                self._calls += 1
            pieces.append(piece)
        return pieces

    def _cut_off(self) -> str | None:
        """The tool whose call had begun and has no arguments yet."""
        spelling = self._form.spelling
        if not self._unsaid.strip() or spelling is None or self.done:
            return None
        if len(self._must_call) == 1 and not self._calls:
            return self._must_call[0]
        before, behind, is_quoted = spelling.parts
        for name in self._must_call:
            head = f'{before}"{name}"' if is_quoted else f"{before}{name}{behind[:1]}"
            if re.search(r"(?<![\w-])" * (not before) + re.escape(head), self._unsaid):
                return name
        return None

    def _go_on(self) -> None:
        if self.done:
            return
        try:
            next(self._reading, None)
        except Enough:
            self.done = True
