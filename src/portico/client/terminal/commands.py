"""What one may type beside what is said: the commands of the terminal chat."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portico.client.conversation import Conversation, load, read_tools, save
from portico.client.settings import SETTINGS, read_setting


@dataclass(slots=True)
class Outcome:
    """What a command came to."""

    said: str = ""
    """A line or some for the person."""
    ask: str | None = None
    """What to say to the model now."""
    leave: bool = False
    conversation: Conversation | None = None
    """The one to go on with, if it is another."""


Run = Callable[[Conversation, str], Outcome]


@dataclass(frozen=True, slots=True)
class Command:
    """A word behind a slash."""

    arguments: str
    help: str
    run: Run = field(repr=False)


def run_command(line: str, conversation: Conversation, commands: Mapping[str, Command]) -> Outcome:
    """Do what a line that begins with a slash says; ValueError says what would be right."""
    word, _, rest = line[1:].strip().partition(" ")
    if word not in commands:
        near = [name for name in commands if word and name.startswith(word)]
        if len(near) != 1:
            raise ValueError(f"there is no /{word}; /help names what there is, and //{word} … says it to the model")
        word = near[0]
    return commands[word].run(conversation, rest.strip())


def _help(conversation: Conversation, rest: str) -> Outcome:
    width = max(len(f"/{name} {command.arguments}") for name, command in COMMANDS.items())
    lines = [f"{f'/{name} {command.arguments}':{width}}  {command.help}" for name, command in COMMANDS.items()]
    return Outcome("\n".join([*lines, "", KEYS]))


def _reset(conversation: Conversation, rest: str) -> Outcome:
    conversation.reset()
    return Outcome("A new conversation; system prompt and settings stay.")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _stats(conversation: Conversation, rest: str) -> Outcome:
    totals = conversation.totals
    speed = f", {totals.completion_tokens / totals.seconds:.1f} a second over all" if totals.seconds else ""
    settings = ", ".join(f"{name} {value}" for name, value in conversation.settings.items()) or "the server's own"
    return Outcome(
        f"{conversation.model}: {_count(len(conversation.turns), 'message')}, {_count(totals.answers, 'answer')}\n"
        f"{_count(totals.prompt_tokens, 'token')} read, {totals.completion_tokens} written{speed}\n"
        f"settings: {settings}" + (f"\nsystem: {conversation.system}" if conversation.system else "")
    )


def _set(conversation: Conversation, rest: str) -> Outcome:
    name, _, value = rest.replace("=", " ", 1).partition(" ")
    if not name:
        lines = [f"{setting.name:18} {setting.help}" for setting in SETTINGS.values()]
        return Outcome("\n".join([*lines, "", "/set NAME VALUE sets one, /set NAME takes it back."]))
    if not value.strip():
        if name not in SETTINGS:
            read_setting(name, "")
        conversation.settings.pop(name, None)
        return Outcome(f"{name} is the server's own.")
    name, read = read_setting(name, value.strip())
    conversation.settings[name] = read
    return Outcome(f"{name} is {read if not isinstance(read, list) else json.dumps(read[0])}.")


def _system(conversation: Conversation, rest: str) -> Outcome:
    conversation.system = rest
    return Outcome("The system prompt is set; it counts from the next answer on." if rest else "No system prompt.")


def _tools(conversation: Conversation, rest: str) -> Outcome:
    if rest in ("", "off"):
        conversation.tools = []
        return Outcome("No tools.")
    conversation.tools = tools_from(_path(rest))
    names = ", ".join(tool["function"]["name"] for tool in conversation.tools)
    return Outcome(f"The model may call {names}. What you type after a call is its result.")


def _save(conversation: Conversation, rest: str) -> Outcome:
    if not rest:
        raise ValueError("/save needs a file: NAME.md for Markdown, any other for JSON")
    if not conversation.turns:
        raise ValueError("nothing has been said yet")
    path = _path(rest)
    try:
        save(conversation, path)
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}") from error
    return Outcome(f"{_count(len(conversation.turns), 'message')} saved in {path}.")


def _load(conversation: Conversation, rest: str) -> Outcome:
    if not rest:
        raise ValueError("/load needs a file that /save FILE.json wrote")
    path = _path(rest)
    try:
        loaded = load(path, conversation.model)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} is no conversation: {error}") from error
    return Outcome(f"{_count(len(loaded.turns), 'message')} from {path}; go on.", conversation=loaded)


def _retry(conversation: Conversation, rest: str) -> Outcome:
    said = conversation.undo()
    if said is None:
        raise ValueError("nothing has been said yet")
    return Outcome(ask=said)


def _undo(conversation: Conversation, rest: str) -> Outcome:
    said = conversation.undo()
    if said is None:
        raise ValueError("nothing has been said yet")
    return Outcome(f"Taken back, with its answer: {said if len(said) < 60 else said[:59] + '…'}")


def _exit(conversation: Conversation, rest: str) -> Outcome:
    return Outcome(leave=True)


def tools_from(path: Path) -> list[dict[str, Any]]:
    """The tools in a file of JSON; ValueError says what is wrong with it."""
    try:
        return read_tools(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _path(text: str) -> Path:
    return Path(text).expanduser()


COMMANDS: Mapping[str, Command] = {
    "help": Command("", "this", _help),
    "reset": Command("", "begin a new conversation", _reset),
    "retry": Command("", "ask the last thing again", _retry),
    "undo": Command("", "take back the last thing said and its answer", _undo),
    "system": Command("TEXT", "the system prompt; without TEXT: none", _system),
    "set": Command("NAME VALUE", "temperature, top_p, max_tokens, …; /set names all", _set),
    "tools": Command("FILE", "functions the model may call, as JSON; off: none", _tools),
    "stats": Command("", "tokens, speed, settings", _stats),
    "save": Command("FILE", "write the conversation; .md as Markdown, else JSON", _save),
    "load": Command("FILE", "go on with one that was saved as JSON", _load),
    "exit": Command("", "leave; so does Ctrl-D", _exit),
}
KEYS = (
    "Enter sends, Alt-Enter or Ctrl-J begins a new line, Up and Down find what was typed before.\n"
    "Ctrl-C stops an answer (what came stays) or clears what is typed; Ctrl-D leaves."
)
