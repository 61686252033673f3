"""What a dialogue is, and how it becomes text: the same layout as chat_template.jinja gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Check = Callable[[str], bool]
Tool = Mapping[str, Any]

START, END, STOP = "<|im_start|>", "<|im_end|>", "<|endoftext|>"


@dataclass(frozen=True, slots=True)
class Turn:
    """A user's message and the answer to learn; `check` judges a model's own answer."""

    user: str
    answer: str
    check: Check
    results: Sequence[str] = ()
    """What the called tools return; then `reply` is the answer in words."""
    reply: str = ""
    reply_check: Check | None = None


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Turns in order, under a system message and tools if any; the last turn is what the dialogue is about."""

    kind: str
    turns: Sequence[Turn]
    system: str | None = None
    tools: Sequence[Tool] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of a training sample, and whether the model is to learn to say it."""

    text: str
    learned: bool


@dataclass(frozen=True, slots=True)
class Case:
    """A question of the evaluation."""

    kind: str
    messages: list[dict[str, Any]]
    tools: list[Tool]
    check: Check = field(repr=False)
    expected: str = ""


def call_text(name: str, arguments: Mapping[str, Any]) -> str:
    """A tool call as the model writes it."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments}, ensure_ascii=False)}\n</tool_call>"


def system_text(system: str | None, tools: Sequence[Tool]) -> str | None:
    """The content of the system turn."""
    if not tools:
        return system
    lines = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    head = f"{system}\n\n" if system else ""
    return f"{head}# Tools\n<tools>\n{lines}\n</tools>"


def pieces(dialogue: Dialogue) -> list[Piece]:
    """The whole dialogue as text, assistant turns marked as learned."""
    result: list[Piece] = []

    def say(role: str, text: str) -> None:
        if role == "assistant":
            result.append(Piece(f"{START}assistant\n", False))
            result.append(Piece(f"{text}{END}", True))
            result.append(Piece("\n", False))
        else:
            result.append(Piece(f"{START}{role}\n{text}{END}\n", False))

    system = system_text(dialogue.system, dialogue.tools)
    if system is not None:
        say("system", system)
    for turn in dialogue.turns:
        say("user", turn.user)
        say("assistant", turn.answer)
        if turn.results:
            say("user", "\n".join(f"<tool_response>\n{result}\n</tool_response>" for result in turn.results))
            say("assistant", turn.reply)
    return result


def cases(dialogue: Dialogue) -> list[Case]:
    """The questions that a dialogue asks: its last turn, and the reply after its tools' results."""
    messages: list[dict[str, Any]] = []
    if dialogue.system is not None:
        messages.append({"role": "system", "content": dialogue.system})
    for turn in dialogue.turns[:-1]:
        messages += [{"role": "user", "content": turn.user}, {"role": "assistant", "content": turn.answer}]
    last = dialogue.turns[-1]
    messages.append({"role": "user", "content": last.user})
    found = [Case(dialogue.kind, list(messages), list(dialogue.tools), last.check, last.answer)]
    if last.reply_check is not None:
        messages.append({"role": "assistant", "content": last.answer})
        messages += [{"role": "tool", "content": result} for result in last.results]
        found.append(Case("answer from a tool's result", messages, list(dialogue.tools), last.reply_check, last.reply))
    return found
