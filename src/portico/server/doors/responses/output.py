"""From the events of the text layer to the items of an answer and the events that tell of them."""

from __future__ import annotations

from collections.abc import Iterable

from portico.protocol.events import ReasoningDelta, TextDelta, TokenInfo, ToolCallDelta
from portico.server.doors.responses.ids import item_id
from portico.server.doors.responses.items import Item
from portico.server.doors.responses.parts import Call, Ending, Event, Message, Part, Reasoning
from portico.server.doors.responses.tools import Toolset
from portico.server.logprobs import token_entries


class Output:
    """The answer so far; one item is open at a time."""

    def __init__(self, response: str, tools: Toolset, *, summary: bool, seal: bool, as_ids: bool) -> None:
        """`summary`: thinking comes as one; `seal`: and sealed too; `as_ids`: how log-probabilities name tokens."""
        self._response = response
        self._tools = tools
        self._summary = summary
        self._seal = seal
        self._as_ids = as_ids
        self._made: list[Item] = []
        self._open: Message | Reasoning | Call | None = None
        self._space = ""
        """Whitespace that becomes part of a message only if one follows."""
        self._infos: list[TokenInfo] = []
        """Its tokens."""

    @property
    def items(self) -> list[Item]:
        """All items, the last of them perhaps not whole."""
        return self._made if self._open is None else [*self._made, self._open.item]

    def take(self, event: TextDelta | ReasoningDelta | ToolCallDelta) -> Iterable[Event]:
        """What an event of the text layer adds."""
        match event:
            case TextDelta(text=text, tokens=infos):
                yield from self._say(text, infos)
            case ReasoningDelta(text=text) if text:
                if not isinstance(self._open, Reasoning):
                    made = Reasoning(*self._next("reasoning"), summary=self._summary, seal=self._seal)
                    yield from self._begin(made)
                assert isinstance(self._open, Reasoning)
                yield from self._open.push(text)
            case ToolCallDelta(id=call_id, name=name, arguments=arguments):
                if name is not None:
                    tool = self._tools.called(name)
                    kind = "custom_tool_call" if tool.freeform else "function_call"
                    yield from self._begin(Call(*self._next(kind), call_id or "", tool))
                if isinstance(self._open, Call):
                    yield from self._open.push(arguments)

    def end(self, status: Ending) -> Iterable[Event]:
        """The end of what is open; an answer that has nothing else is an empty message."""
        if self._open is None and not self._made:
            yield from self._begin(Message(*self._next("message")))
            assert isinstance(self._open, Message)
            if self._space or self._infos:
                yield from self._open.push(self._space, token_entries(self._infos, as_ids=self._as_ids))
        yield from self._close(status)

    def _say(self, text: str, infos: Iterable[TokenInfo]) -> Iterable[Event]:
        said = [info for info in infos if info.said]
        if not isinstance(self._open, Message):
            text, said = self._space + text, [*self._infos, *said]
            self._space, self._infos = text, said
            if not text.strip():
                return
            self._space, self._infos = "", []
            yield from self._begin(Message(*self._next("message")))
        assert isinstance(self._open, Message)
        if text or said:
            yield from self._open.push(text, token_entries(said, as_ids=self._as_ids))

    def _next(self, kind: str) -> tuple[str, int]:
        place = len(self.items)
        return item_id(kind, self._response, place, given=False), place

    def _begin(self, part: Message | Reasoning | Call) -> Iterable[Event]:
        yield from self._close("completed")
        if not isinstance(part, Message):
            self._space, self._infos = "", []
        self._open = part
        yield from part.begin()

    def _close(self, status: Ending) -> Iterable[Event]:
        if self._open is not None:
            ended: Part = self._open
            yield from ended.end(status)
            self._made.append(ended.item)
            self._open = None
