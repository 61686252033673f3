"""`portico chat [MODEL|URL]`: chat in the terminal."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

from portico.cli.parser import LineParser
from portico.cli.partner import FLAGS_HELP, Partner, add_partner, is_url, partner
from portico.client.answers import ChatError, ChatServer
from portico.client.conversation import Conversation
from portico.client.settings import SETTINGS, read_setting
from portico.config.sessions import data_folder
from portico.demo import NAME as DEMO_NAME
from portico.errors import ConfigError, PorticoError


def make_parser() -> LineParser:
    """The verb's command line."""
    parser = LineParser(
        prog="portico chat",
        usage="portico chat [MODEL|URL] [options]",
        description="Chat with a model in the terminal. In a pipe, what comes in is the question, and the answer alone "
        f"goes out. {FLAGS_HELP}",
    )
    parser.add_argument("-p", "--prompt", metavar="TEXT", help="ask this, print the answer, and end")
    parser.add_argument("--system", metavar="TEXT", default="", help="the system prompt")
    parser.add_argument("--tools", metavar="FILE", help="functions that the model may call, as JSON")
    parser.add_argument("--load", metavar="FILE", help="go on with a conversation that /save wrote as JSON")
    parser.add_argument("--no-history", action="store_true", help="neither read nor keep what was typed")
    group = parser.add_argument_group("answers (default: the server's own)")
    for setting in SETTINGS.values():
        spelling = setting.name.replace("_", "-")
        group.add_argument(f"--{spelling}", dest=setting.name, metavar=setting.metavar, help=setting.help)
    add_partner(parser)
    return parser


def run(arguments: Sequence[str]) -> int:
    """Chat until the person leaves; returns the exit status, raises PorticoError."""
    parser = make_parser()
    parsed = parser.parse_args(list(arguments))
    try:
        begun = _begun(parsed)
        asked = _asked(parsed)
        return _chat(parsed, parser, begun, asked)
    except ChatError as error:
        raise PorticoError(str(error)) from error
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130


def _asked(parsed: argparse.Namespace) -> str | None:
    """The one question there is; None for a conversation. ConfigError if neither can be."""
    if parsed.prompt is not None:
        asked: str = parsed.prompt
    elif not sys.stdin.isatty():
        asked = sys.stdin.read()
    elif not sys.stdout.isatty():
        raise ConfigError("the output is no terminal; give the question with --prompt or in a pipe")
    else:
        return None
    if not asked.strip():
        raise ConfigError("there is no question: it is empty")
    return asked.strip()


def _begun(parsed: argparse.Namespace) -> Conversation:
    from portico.client.conversation import load
    from portico.client.terminal.commands import tools_from

    conversation = Conversation("")
    if parsed.load:
        try:
            conversation = load(Path(parsed.load), "")
        except (OSError, ValueError) as error:
            raise ConfigError(f"--load {parsed.load}: {error}") from error
    conversation.system = parsed.system or conversation.system
    if parsed.tools:
        try:
            conversation.tools = tools_from(Path(parsed.tools))
        except ValueError as error:
            raise ConfigError(f"--tools: {error}") from error
    given: dict[str, Any] = {name: getattr(parsed, name) for name in SETTINGS if getattr(parsed, name) is not None}
    for name, text in given.items():
        try:
            conversation.settings[name] = read_setting(name, text)[1]
        except ValueError as error:
            raise ConfigError(f"--{error}") from error
    return conversation


def _chat(parsed: argparse.Namespace, parser: LineParser, conversation: Conversation, asked: str | None) -> int:
    # The first import takes a while; --help and mistakes do not wait for it.
    from rich.console import Console

    console = Console(highlight=False)
    name = parsed.partner or DEMO_NAME
    starting = asked is None and not is_url(parsed.partner)
    status = console.status(f"Starting {name} …", spinner_style="cyan") if starting else nullcontext()
    with ExitStack() as stack:
        with status:
            other = stack.enter_context(partner(parsed, parser))
        server = ChatServer(other.url, other.key)
        stack.callback(server.close)
        conversation.model = parsed.model_name or _first(server.models(), other)
        if asked is not None:
            return _once(server, conversation, asked)
        return _talk(server, conversation, console, parsed)


def _first(models: Sequence[str], other: Partner) -> str:
    if not models:
        raise PorticoError(f"{other.url} has no model")
    return models[0]


def _once(server: ChatServer, conversation: Conversation, asked: str) -> int:
    from portico.client.terminal.plain import answer_plainly

    answer_plainly(server, conversation, asked, sys.stdout, clean=sys.stdout.isatty())
    return 0


def _talk(server: ChatServer, conversation: Conversation, console: Any, parsed: argparse.Namespace) -> int:
    from portico.client.terminal.keys import open_history, reader
    from portico.client.terminal.talk import talk

    at = f" at {server.url}" if is_url(parsed.partner) else ""
    console.print(f"[bold]{conversation.model}[/bold][dim]{at} · /help, Ctrl-D leaves[/dim]\n", highlight=False)
    talk(server, conversation, console, reader(open_history(_history_file(parsed))))
    return 0


def _history_file(parsed: argparse.Namespace) -> Path | None:
    if parsed.no_history:
        return None
    try:
        return data_folder(os.environ) / "chat_history"
    except RuntimeError:  # no home
        return None
