"""gpt-oss: an answer is messages between tokens of their own, each on a channel; those to a tool are calls.

Source: https://cookbook.openai.com/articles/openai-harmony
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from portico.text.tools.format import Spelling, Toolbox, ToolFormat
from portico.text.tools.json_calls import json_value
from portico.text.tools.marked import is_name
from portico.text.tools.output import Output
from portico.text.tools.source import Say, Source, Steps

START, CHANNEL, CONSTRAIN, MESSAGE = "<|start|>", "<|channel|>", "<|constrain|>", "<|message|>"
END, CALL, RETURN = "<|end|>", "<|call|>", "<|return|>"
THINKS = f"{CHANNEL}analysis{MESSAGE}"
THOUGHT = f"{END}{START}assistant"
ANSWERS = f"{CHANNEL}final{MESSAGE}"
TOOL = "to=functions."
RECIPIENT = re.compile(r"\bto=([^\s<]+)")
ON_CHANNEL = re.compile(re.escape(CHANNEL) + r"\s*([^\s<]*)")


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before a message's text."""

    channel: str
    recipient: str

    @classmethod
    def of(cls, text: str) -> Header:
        """Recipients stand behind the role or behind the channel."""
        channel, recipient = ON_CHANNEL.search(text), RECIPIENT.search(text)
        return cls(channel[1] if channel else "", recipient[1] if recipient else "")

    @property
    def tool(self) -> str:
        """The function that the message calls, if it calls one of the client's."""
        name = self.recipient.removeprefix("functions.")
        return name if name != self.recipient and is_name(name) else ""

    @property
    def is_thought(self) -> bool:
        """Whether it is for the model itself, or for a tool that nobody offers."""
        return self.channel == "analysis" or bool(self.recipient)


def _read(source: Source, out: Output, toolbox: Toolbox) -> Steps[None]:
    while (yield from source.peek()):
        source.keep("")
        header = yield from _header(source)
        text = source.kept()
        if header is None:
            out.text(text)
            source.unread((yield from source.until((START, CHANNEL), out.text)))
            continue
        is_call = bool(header.tool and toolbox.schemas)
        out.part(thinks=header.is_thought and not is_call)
        if is_call:
            say = yield from _call(source, out, header.tool)
        else:
            say = out.thought if out.thinks else out.text
        end = yield from source.until((END, CALL, RETURN, START), say)
        if end and is_call:
            out.close()
        source.unread(end if end == START else "")
        out.thinks = False


def _call(source: Source, out: Output, name: str) -> Steps[Say]:
    """Up to the end of its arguments, if they are JSON; what becomes of the rest of the message."""
    out.call(name)
    yield from source.spaces()
    if (yield from source.peek()) != "{":
        return out.arguments
    yield from json_value(source, out.arguments)
    yield from source.spaces()
    return out.text


def _header(source: Source) -> Steps[Header | None]:
    """None if what comes next is none; what has been read of it is text then."""
    text = ""
    for begin in (START, CHANNEL, " to="):  # the prompt ends behind the role of the first
        if (yield from source.take(begin)):
            text = begin
            break
    if not text:
        return None
    while True:
        text += yield from source.run_without("<\n")
        for marker in (MESSAGE, CHANNEL, CONSTRAIN):
            if (yield from source.take(marker)):
                text += marker
                break
        else:
            return None
        if marker == MESSAGE:
            return Header.of(text)


HARMONY = ToolFormat(
    "harmony",
    _read,
    signs=(CHANNEL, MESSAGE, f"{START}assistant"),
    markers=(START, CHANNEL, CONSTRAIN, MESSAGE, END, CALL, RETURN),
    spelling=Spelling(
        f"{CHANNEL}commentary {TOOL}BARE {CONSTRAIN}json{MESSAGE}",
        between=f"{CALL}{START}assistant",
    ),
    trigger=f"{CHANNEL}commentary {TOOL}",
    rivals=(TOOL,),
    loose=(START, CHANNEL, CONSTRAIN, MESSAGE, END, CALL, RETURN),
    frames=True,
    answers=ANSWERS,
)
