"""The thinking of one request's answers: whether they begin inside of it, when it must end, what may come behind it."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from portico.errors import RequestError
from portico.protocol.limits import LIMITS
from portico.protocol.request import ChatPrompt, GenerationRequest, ThinkWish
from portico.protocol.sampling import ThinkingLimit
from portico.text.grammar import joined
from portico.text.messages import text_of
from portico.text.thinking import ThinkingFormat, ThinkingReader
from portico.text.tokenizer import Tokenizer
from portico.text.tools.lark import lark_text, split


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Thinking that may come before an answer, and how it is marked."""

    form: ThinkingFormat
    wish: ThinkWish
    inside: bool
    """Whether it has begun in the prompt."""
    goes_on: bool = False
    """Whether the prompt ends within it, and not with its beginning."""

    @classmethod
    def of(cls, request: GenerationRequest, form: ThinkingFormat | None, prompt_end: str) -> Reasoning | None:
        """None where none is to be read or the prompt has ended it; RequestError for a budget that means nothing."""
        prompt = request.prompt
        if not isinstance(prompt, ChatPrompt) or prompt.thinking is None:
            return None
        if form is None:
            if prompt.thinking.budget is not None:
                raise _no_thinking(prompt.thinking.budget_param)
            return None
        if prompt.layout.continue_final_message:
            within = form.is_within(text_of(prompt.messages[-1]))
            return cls(form, prompt.thinking, inside=True, goes_on=True) if within else None
        return None if form.is_over(prompt_end) else cls(form, prompt.thinking, form.is_open(prompt_end))

    def reader(self) -> ThinkingReader:
        """A fresh reader of one choice."""
        return ThinkingReader(self.form, inside=self.inside, goes_on=self.goes_on)

    def shown(self, tokenizer: Tokenizer) -> list[int]:
        """Special tokens that the thinking is marked with."""
        ids = (tokenizer.special_id(marker) for marker in (*self.form.begins, *self.form.ends))
        return [token_id for token_id in ids if token_id is not None]

    def limit(self, tokenizer: Tokenizer) -> ThinkingLimit | None:
        """Where the engine is to end it."""
        if self.wish.budget is None:
            return None
        begin, end = (
            tuple(tokenizer.encode(marker, add_special_tokens=False))
            for marker in (self.form.begins[0], self.form.ends[0])
        )
        return ThinkingLimit(min(self.wish.budget, LIMITS.answer_tokens), () if self.inside else begin, end)

    def before(self, grammar: str, tokenizer: Tokenizer) -> str:
        """A grammar of answers that have the form of `grammar` behind their thinking."""
        marker = tokenizer.control_id
        if any(marker(split(end, marker)[0]) is None for end in self.form.ends):
            ends = " | ".join(json.dumps(end, ensure_ascii=False) for end in self.form.ends)
            thought = ["thought: ending", f"ending[lazy]: TEXT ({ends})"]
        else:
            thought = [f"thought: TEXT ({' | '.join(lark_text(end, marker) for end in self.form.ends)})"]
        often = "?" if self.form.frame is None else "*"
        begins = " | ".join(lark_text(begin, marker) for begin in self.form.begins)
        lines = [
            "start: thought SPACE @behind" if self.inside else f"start: (begin thought SPACE){often} @behind",
            *([] if self.inside else [f"begin: {begins}"]),
            *thought,
            r"TEXT: /(.|\n)*/",
            r"SPACE: /\n{0,2}/",
        ]
        return joined("\n".join(lines), {"behind": grammar})


SWITCHES = ("enable_thinking", "thinking")
"""Variables by which templates switch thinking on and off."""


def effort_variables(wish: ThinkWish | None, variables: Collection[str], form: ThinkingFormat | None) -> dict[str, Any]:
    """What the wanted effort is to a template with these variables; RequestError if it has none to say it with."""
    if wish is None or (wish.effort is None and wish.wanted is None):
        return {}
    effort = wish.effort
    if effort is not None and "reasoning_effort" in variables:
        return {"reasoning_effort": effort}
    known = [name for name in SWITCHES if name in variables]
    if known:
        return {known[0]: effort != "none" if wish.wanted is None else wish.wanted}
    if wish.wanted is not None or (effort == "none" and form is None):
        return {}
    raise RequestError(
        f"reasoning_effort is {effort!r}, but this model's chat template cannot switch thinking on or off; "
        "leave it out.",
        param="reasoning_effort",
        code="unsupported_parameter",
    )


def _no_thinking(param: str) -> RequestError:
    return RequestError(
        f"{param} is given, but this server does not know how its model marks its thinking, if it thinks at all; leave "
        "it out, or start the server with --reasoning-parser NAME.",
        param=param,
        code="unsupported_parameter",
    )
