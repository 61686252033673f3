"""Reading what a person types: editing, several lines, history, completion of commands."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.styles import Style

from portico.client.settings import SETTINGS
from portico.client.terminal.commands import COMMANDS

STYLE = Style.from_dict({"prompt": "ansicyan bold", "hint": "ansibrightblack", "placeholder": "ansibrightblack"})

Read = Callable[[str, str], str]
"""Reads one message: what stands before it, and what is there to begin with; EOFError at Ctrl-D."""


class CommandCompleter(Completer):
    """Commands, names of settings, files."""

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """What may stand where the cursor is."""
        text = document.text_before_cursor
        if not text.startswith("/") or "\n" in text:
            return
        word, space, rest = text[1:].partition(" ")
        if not space:
            for name, command in COMMANDS.items():
                if name.startswith(word):
                    yield Completion(name, -len(word), display_meta=command.help)
        elif word == "set" and " " not in rest:
            for name, setting in SETTINGS.items():
                if name.startswith(rest):
                    yield Completion(name, -len(rest), display_meta=setting.help)
        elif word in ("save", "load", "tools"):
            yield from PathCompleter(expanduser=True).get_completions(Document(rest), complete_event)


def open_history(path: Path | None) -> History:
    """What was typed before; in memory only without a path, or where the file cannot be had."""
    if path is None:
        return InMemoryHistory()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    except OSError:
        return InMemoryHistory()
    return FileHistory(path)


def reader(history: History) -> Read:
    """Reads from the terminal."""
    session: PromptSession[str] = PromptSession(
        history=history,
        completer=CommandCompleter(),
        complete_while_typing=False,
        multiline=True,
        key_bindings=_bindings(),
        style=STYLE,
        prompt_continuation=lambda width, number, wraps: " " * width,
        enable_suspend=True,
        reserve_space_for_menu=6,
    )

    def read(prompt: str, begun: str) -> str:
        return session.prompt(
            FormattedText([("class:prompt", prompt)]),
            default=begun,
            placeholder=FormattedText([("class:placeholder", "/help")]),
        )

    return read


def _bindings() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None
        elif buffer.text.strip():
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    @keys.add("c-j")
    def line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c")
    def clear(event: KeyPressEvent) -> None:
        event.current_buffer.reset()

    return keys


@contextlib.contextmanager
def quiet_keys() -> Iterator[None]:
    """While an answer is written, keys do not show; Ctrl-C works, and the rest waits for the next prompt."""
    try:
        before = termios.tcgetattr(sys.stdin)
    except (termios.error, OSError, ValueError):
        yield
        return
    during: list[Any] = [*before]
    during[3] = before[3] & ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(sys.stdin, termios.TCSANOW, during)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
