"""`portico VERB …`: finds the verb and runs it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence

from portico import __version__
from portico.cli.parser import LineParser, fail
from portico.errors import ConfigError, PorticoError

VERBS = {
    "serve": "serve a model over HTTP",
    "client": "talk to a server from the terminal",
    "bench": "measure a server, or the engine alone, under load",
    "doctor": "tell what this machine has, and whether a model fits",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = LineParser(prog="portico", description="One inference engine for large language models.")
    parser.add_argument("--version", action="version", version=f"portico {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=LineParser)
    for verb, text in VERBS.items():
        verbs.add_parser(verb, help=text, add_help=False)
    if not arguments or arguments[0] not in VERBS:
        parser.parse_args(arguments)
        parser.print_help()
        return 2
    verb, *rest = arguments

    def run() -> int:
        status: int = importlib.import_module(f"portico.cli.{verb}").run(rest)
        return status

    return _ended(f"portico {verb}", run)


def start(prog: str, defaults: Mapping[str, str]) -> int:
    """Serve with the program's arguments, as another server's way of starting does; returns the exit status."""

    def serve() -> int:
        from portico.cli.serve import Form, run

        return run(sys.argv[1:], Form(prog, defaults))

    return _ended(prog, serve)


def _ended(prog: str, run: Callable[[], int]) -> int:
    try:
        return run()
    except PorticoError as error:
        fail(f"{prog}: {error}", status=2 if isinstance(error, ConfigError) else 1)


if __name__ == "__main__":
    sys.exit(main())
