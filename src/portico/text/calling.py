"""Tools of a request, seen by one model: may they be called, in which form, and how the answer is held to it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from portico.errors import RequestError
from portico.protocol.request import CallWish, ChatPrompt, GenerationRequest
from portico.text.grammar import joined
from portico.text.tokenizer import Tokenizer
from portico.text.tools.format import Toolbox, ToolFormat
from portico.text.tools.grammar import check_schemas, checked_calls, forced_calls
from portico.text.tools.hermes import HERMES
from portico.text.tools.reader import ToolReader


@dataclass(frozen=True, slots=True)
class Calling:
    """The tools of one request, and how calls of them are written."""

    form: ToolFormat
    toolbox: Toolbox
    wish: CallWish

    @classmethod
    def of(cls, request: GenerationRequest, form: ToolFormat | None) -> Calling | None:
        """None where calls are not to be read; RequestError if they should be and the model's form is not known."""
        prompt = request.prompt
        if not isinstance(prompt, ChatPrompt) or prompt.calls is None or not prompt.tools:
            return None
        if form is None:
            raise RequestError(
                "This server does not know how its model writes tool calls; start it with --tool-call-parser NAME, or "
                "leave tools out.",
                param="tools",
                code="unsupported_parameter",
            )
        calling = cls(form, Toolbox.of(prompt.tools), prompt.calls)
        return calling if not prompt.calls.required or calling._can_hold() else replace(calling, form=HERMES)

    def _can_hold(self) -> bool:
        """Whether calls in this form can be held to their schemas; else they are asked for in Hermes'."""
        spelling, schemas = self.form.spelling, self.toolbox.schemas
        return spelling is not None and not any(spelling.arguments.problem(schemas[name]) for name in self._names)

    @property
    def _names(self) -> list[str]:
        """The tools that may be called."""
        return list(self.toolbox.schemas) if self.wish.only is None else [self.wish.only]

    def reader(self) -> ToolReader:
        """A fresh reader of one choice."""
        must_call = self._names if self.wish.required else ()
        return ToolReader(self.form, self.toolbox, None if self.wish.parallel else 1, must_call)

    def shown(self, tokenizer: Tokenizer) -> list[int]:
        """Special tokens that calls are written with."""
        ids = (tokenizer.special_id(marker) for marker in self.form.markers)
        return [token_id for token_id in ids if token_id is not None]

    def grammar(self, tokenizer: Tokenizer, answer: str | None) -> str | None:
        """What the answer is held to; RequestError for a schema that cannot be honoured.

        `answer` is the grammar of one that is no call, if it is to have a form.

        Calls that must be made come before a form that is asked for; else an answer has the form or is calls.
        """
        spelling, wish, marker = self.form.spelling, self.wish, tokenizer.control_id
        parallel = wish.parallel and not self.form.frames  # what ends a call of those ends the answer
        names = self._names
        if spelling is not None and wish.required:
            check_schemas(self.toolbox, names, spelling.arguments)
            return forced_calls(spelling, self.toolbox, names, parallel, marker)
        if spelling is not None and answer is not None:
            check_schemas(self.toolbox, names, spelling.arguments)
            calls = forced_calls(spelling, self.toolbox, names, parallel, marker)
            return joined("start: @answer | @calls", {"answer": answer, "calls": calls})
        if answer is not None:
            return answer
        if not self.toolbox.strict:
            return None
        if spelling is not None:
            check_schemas(self.toolbox, sorted(self.toolbox.strict), spelling.arguments)
        return checked_calls(self.form, self.toolbox, marker)
