"""The terminal chat: read, ask, paint, again; and its plain twin for pipes."""

from __future__ import annotations

import json
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from portico.client.answers import Answer, Call, ChatError, ChatServer
from portico.client.conversation import Conversation
from portico.client.terminal.commands import COMMANDS, run_command
from portico.client.terminal.keys import Read, quiet_keys
from portico.client.terminal.paint import Growing
from portico.client.terminal.plain import closing_answers, printable

PROMPT = "> "
THINKING = "┊ "


def talk(server: ChatServer, conversation: Conversation, console: Console, read: Read) -> Conversation:
    """Talk until the person leaves; returns the conversation as it stands then."""
    begun = ""
    while True:
        call = conversation.open_call()
        prompt = PROMPT if call is None else f"result of {printable(call['function']['name'])} > "
        try:
            typed, begun = read(prompt, begun).strip(), ""
        except EOFError:
            return conversation
        if typed.startswith("/") and not typed.startswith("//"):
            try:
                outcome = run_command(typed, conversation, COMMANDS)
            except ValueError as error:
                _tell(console, f"{str(error)[:1].upper()}{str(error)[1:]}", "red")
                continue
            if outcome.leave:
                return conversation
            conversation = outcome.conversation or conversation
            if outcome.said:
                _tell(console, outcome.said)
            if outcome.ask is None:
                continue
            typed = outcome.ask
        elif typed.startswith("//"):
            typed = typed[1:]
        if typed:
            conversation.say(typed)
            begun = answer_turn(server, conversation, console)


def answer_turn(server: ChatServer, conversation: Conversation, console: Console) -> str:
    """Ask, paint what comes, and keep it; returns what to offer for typing again if nothing came of it."""
    answer, trouble, stopped = Answer(), "", False
    with quiet_keys():
        try:
            with closing_answers(server, conversation) as answers:
                answer = _painted(answers, console, answer)
        except KeyboardInterrupt:
            stopped = True
        except _BrokenOffError as broken:
            answer, trouble = broken.answer, broken.why
            stopped = broken.stopped
        if not answer.empty:
            conversation.hear(answer)
        said = "" if not answer.empty else conversation.undo() or ""
    if trouble:
        kept = "" if answer.empty else " What came of it is kept; /retry asks again."
        _tell(console, f"{trouble[:1].upper()}{trouble[1:]}.{kept}".replace("..", "."), "red")
    elif stopped:
        _tell(console, f"stopped · {answer.told()}" if not answer.empty else "stopped before the first token")
    elif answer.empty:
        _tell(console, f"The model said nothing ({answer.told()}).")
    else:
        _tell(console, answer.told())
    # What was stopped on purpose need not be offered again.
    return said if trouble else ""


class _BrokenOffError(Exception):
    """An answer that did not come to its end, with what came."""

    def __init__(self, answer: Answer, why: str = "", *, stopped: bool = False) -> None:
        super().__init__(why)
        self.answer, self.why, self.stopped = answer, why, stopped


def _painted(answers: Iterator[Answer], console: Console, answer: Answer) -> Answer:
    console.print()
    thinking = Growing(console, markdown=False, bar=THINKING)
    saying = Growing(console)
    thought = said = 0
    waiting = Growing(console, markdown=False)
    waiting.add("…")
    try:
        for answer in answers:
            waiting.clear()
            if len(answer.reasoning) > thought:
                thinking.add(answer.reasoning[thought:])
                thought = len(answer.reasoning)
            if len(answer.text) > said or answer.calls:
                if thinking.end():
                    console.print()
                saying.add(answer.text[said:])
                said = len(answer.text)
    except (ChatError, KeyboardInterrupt) as error:
        waiting.clear()
        _ended(thinking, saying, console)
        raise _BrokenOffError(answer, str(error), stopped=isinstance(error, KeyboardInterrupt)) from error
    _ended(thinking, saying, console)
    for call in answer.calls:
        console.print(_call(call))
    return answer


def _ended(thinking: Growing, saying: Growing, console: Console) -> None:
    thinking.end()
    saying.end()


def _call(call: Call) -> Text:
    try:
        arguments = json.dumps(json.loads(call.arguments or "{}"), ensure_ascii=False)
    except ValueError:
        arguments = call.arguments
    return Text.assemble(("→ ", "yellow"), (printable(call.name), "bold yellow"), " ", printable(arguments))


def _tell(console: Console, text: str, style: str = "dim") -> None:
    console.print(Text(printable(text), style=style))
    console.print()
