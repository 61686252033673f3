"""From the text of one choice to events: what is said, which tools are called, and why it ended."""

from __future__ import annotations

from collections.abc import Sequence

from portico.protocol.events import Finish, FinishReason, GenerationEvent, TextDelta, TokenInfo, ToolCallDelta
from portico.text.tools.format import ToolFormat
from portico.text.tools.output import Argued, Called, Piece, Said
from portico.text.tools.reader import ToolReader


class ChoiceEvents:
    """Turns one choice's text, as it comes, into events; tokens are told with the first event that comes after them."""

    def __init__(self, choice: int, reader: ToolReader | None = None, form: ToolFormat | None = None) -> None:
        """Without a reader all text is said."""
        self._choice = choice
        self._reader = reader
        self._form = form
        self._count = 0
        self._infos: list[TokenInfo] = []

    @property
    def done(self) -> bool:
        """Whether the choice ends here though the engine does not know it."""
        return self._reader is not None and self._reader.done

    def take(
        self, text: str, count: int, infos: Sequence[TokenInfo], finish: FinishReason | None
    ) -> list[GenerationEvent]:
        """The events of some tokens: their text, their number, and the reason if they are the last."""
        self._count += count
        self._infos += infos
        events: list[GenerationEvent] = [self._event(piece) for piece in self._read(text, finish)]
        if self.done:
            finish = "stop"
        if finish is None:
            return events
        if not events and self._infos:
            events.append(self._event(Said("")))
        if self._reader is not None and self._reader.calls and finish == "stop":
            finish = "tool_calls"
        return [*events, Finish(self._choice, finish)]

    def _read(self, text: str, finish: FinishReason | None) -> list[Piece]:
        if self._reader is None:
            return [Said(text)] if text else []
        pieces = self._reader.push(text) if text else []
        return pieces if finish is None else [*pieces, *self._reader.end()]

    def _event(self, piece: Piece) -> TextDelta | ToolCallDelta:
        count, infos = self._count, tuple(self._infos)
        self._count, self._infos = 0, []
        match piece:
            case Said(text):
                return TextDelta(self._choice, text, count, infos)
            case Called(index, name):
                new_id = self._form.new_id() if self._form is not None else None
                return ToolCallDelta(self._choice, index, new_id, name, "", count, infos)
            case Argued(index, text):
                return ToolCallDelta(self._choice, index, None, None, text, count, infos)
