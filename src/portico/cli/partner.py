"""Whom one chats with: a server at a URL, or one started for the occasion."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from portico.cli.beside import start
from portico.cli.parser import LineParser, add_unlisted, given_flags
from portico.config.given import Given
from portico.config.option import Option, declared
from portico.config.options.compute import ComputeOptions
from portico.config.options.idle import IDLE
from portico.config.options.limited import LIMITED
from portico.config.options.model import ModelOptions
from portico.errors import ConfigError

MODEL_HELP = (
    "a server's URL, as http://127.0.0.1:8000, or a model as for portico serve, which is then served for this chat "
    "alone (default: the bundled one)"
)
FLAGS_HELP = "With a model, flags of portico serve about models and memory can be given too."


@dataclass(frozen=True, slots=True)
class Partner:
    """A server to talk to."""

    url: str
    key: str | None


def add_partner(parser: LineParser) -> None:
    """The arguments that say whom to talk to, and those for a model that is to be served."""
    parser.add_argument("partner", nargs="?", metavar="MODEL|URL", help=MODEL_HELP)
    parser.add_argument("--api-key", metavar="KEY", help="the server's key, if it asks for one")
    parser.add_argument("--model-name", metavar="NAME", help="which of the server's models (default: the first)")
    parser.set_defaults(own=_flags_of(parser))
    add_unlisted(parser, _options(parser))


def is_url(text: str | None) -> bool:
    """Whether it names a server and no model."""
    return text is not None and text.startswith(("http://", "https://"))


@contextmanager
def partner(parsed: argparse.Namespace, parser: LineParser) -> Iterator[Partner]:
    """The server that was asked for, started if need be and then ended with the block; raises PorticoError."""
    flags = given_flags(parsed, _options(parser))
    if is_url(parsed.partner):
        if flags:
            raise ConfigError(
                f"{next(iter(flags.values())).where} is for a model served here, and {parsed.partner} is served"
            )
        yield Partner(parsed.partner, parsed.api_key)
        return
    key = secrets.token_urlsafe(24)
    arguments = [*([parsed.partner] if parsed.partner else []), *_spelled(flags, _options(parser))]
    server = start("serve", [*arguments, "--host", "127.0.0.1", "--port", "0"], {"PORTICO_API_KEY": key})
    try:
        yield Partner(server.url, key)
    finally:
        server.close()


def _options(parser: LineParser) -> list[Option]:
    own = parser.get_default("own")
    every = (*declared(ModelOptions), *declared(ComputeOptions), *LIMITED, *IDLE)
    return [option for option in every if not own & {*option.flags, *option.off_flags}]


def _flags_of(parser: LineParser) -> set[str]:
    return {text for action in parser._actions for text in action.option_strings}


def _spelled(flags: Mapping[str, Given], options: Sequence[Option]) -> Iterator[str]:
    by_name = {option.name: option for option in options}
    for name, given in flags.items():
        option = by_name[name]
        if option.is_switch:
            yield option.flags[0] if option.read(given.texts) else option.off_flags[0]
        else:
            yield from (f"{option.flags[0]}={text}" for text in given.texts)
