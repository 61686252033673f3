"""Answers without a terminal's arts: for pipes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from portico.client.answers import Answer, ChatServer
from portico.client.conversation import Conversation

_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Text without what would steer the terminal; a model may write anything."""
    return _UNPRINTABLE.sub("", text.expandtabs(4))


@contextmanager
def closing_answers(server: ChatServer, conversation: Conversation) -> Iterator[Iterator[Answer]]:
    """The answer's pieces; the request ends with the block."""
    answers: Any = server.ask(conversation.model, conversation.messages(), conversation.fields())
    try:
        yield answers
    finally:
        answers.close()


def answer_plainly(server: ChatServer, conversation: Conversation, said: str, out: TextIO, *, clean: bool) -> Answer:
    """One question, its answer written as it comes and nothing else; tool calls as lines of JSON. Raises ChatError.

    `clean`: without what would steer a terminal.
    """
    conversation.say(said)
    written, answer = 0, Answer()
    with closing_answers(server, conversation) as answers:
        for answer in answers:
            text = answer.text[written:]
            out.write(printable(text) if clean else text)
            out.flush()
            written = len(answer.text)
    if written and not answer.text.endswith("\n"):
        out.write("\n")
    for call in answer.calls:
        line = json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)
        out.write(f"{line}\n")
    out.flush()
    conversation.hear(answer)
    return answer
