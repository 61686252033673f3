"""An answer's text, read as it comes: what is said, and which tools are called."""

from __future__ import annotations

from portico.text.tools.format import Toolbox, ToolFormat
from portico.text.tools.output import Enough, Output, Piece
from portico.text.tools.source import Source


class ToolReader:
    """Reads the text of one choice. However the text is split, the pieces add up to the same."""

    def __init__(self, form: ToolFormat, toolbox: Toolbox, most_calls: int | None = None) -> None:
        self._source = Source()
        self._output = Output(most_calls)
        self._reading = form.read(self._source, self._output, toolbox)
        self.done = False
        """Whether all calls that are wanted have been made, so that the answer ends here."""

    @property
    def calls(self) -> int:
        """Calls so far."""
        return self._output.calls

    def push(self, text: str) -> list[Piece]:
        """What is certain once this text is known too."""
        self._source.push(text)
        self._go_on()
        return self._output.drain()

    def end(self) -> list[Piece]:
        """The rest, when there will be no more text."""
        self._source.ended = True
        self._go_on()
        self._output.end()
        return self._output.drain()

    def _go_on(self) -> None:
        if self.done:
            return
        try:
            next(self._reading, None)
        except Enough:
            self.done = True
