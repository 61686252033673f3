"""`portico web [MODEL|URL]`: chat in a browser."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from portico.cli.page import MISSING
from portico.cli.parser import LineParser
from portico.cli.partner import FLAGS_HELP, Partner, add_partner, partner
from portico.errors import ConfigError, PorticoError

if TYPE_CHECKING:
    from portico.client.web.page import Page

HOST, PORT = "127.0.0.1", 7860
GRADIO = ("0.0.0.0", 6006)
"""Where `serve gradio` listens unless told otherwise, as LMDeploy's does."""


def make_parser(prog: str = "portico web", host: str = HOST, port: int = PORT) -> LineParser:
    """The verb's command line."""
    parser = LineParser(
        prog=prog,
        usage=f"{prog} [MODEL|URL] [options]",
        description=f"A page to chat in (needs pip install 'portico[web]'). {FLAGS_HELP}",
    )
    parser.add_argument(
        "--host", "--server-name", metavar="HOST", default=host, help=f"where the page listens (default: {host})"
    )
    parser.add_argument(
        "--port", "--server-port", metavar="PORT", type=int, default=port,
        help=f"port of the page; 0 takes a free one (default: {port})",
    )  # fmt: skip
    add_partner(parser)
    return parser


def run(arguments: Sequence[str], parser: LineParser | None = None) -> int:
    """Serve the page until Ctrl-C or SIGTERM; returns the exit status, raises PorticoError."""
    parser = parser or make_parser()
    parsed = parser.parse_args(list(arguments))
    if importlib.util.find_spec("gradio") is None:
        raise ConfigError(MISSING)
    # Gradio reads these as it is imported; the page speaks to nobody else.
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")
    listener = _listen(parsed.host, parsed.port)
    try:
        with partner(parsed, parser) as other:
            _serve(other, parsed, listener)
    except KeyboardInterrupt:
        return 130
    finally:
        listener.close()
    return 0


def _serve(other: Partner, parsed: argparse.Namespace, listener: socket.socket) -> None:
    from portico.client.web.serve import create_app, serve

    page = asyncio.run(_page(other, parsed.model_name))
    app = create_app(page)
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    print(
        f"Portico's page chats with {page.model or other.url} at http://{host}:{listener.getsockname()[1]}\n"
        f"  server: {page.server.url}     stop: Ctrl-C",
        flush=True,
    )
    serve(app, listener)


async def _page(other: Partner, model_name: str | None) -> Page:
    from portico.client.answers import ChatError
    from portico.client.web.asking import AsyncChatServer
    from portico.client.web.page import Page

    asking = AsyncChatServer(other.url)
    try:
        models = await asking.models(other.key)
    except ChatError as error:
        if error.status == 401 and not other.key:
            return Page(AsyncChatServer(other.url), model_name, None, asks_key=True)
        raise PorticoError(str(error)) from error
    finally:
        await asking.close()
    if not models:
        raise PorticoError(f"{other.url} has no model")
    chosen = next((model for model in models if model.name == model_name), models[0])
    # A client's connections belong to the event loop it was first used in, and the page has its own.
    return Page(AsyncChatServer(other.url), model_name or chosen.name, other.key, reads_images=chosen.reads_images)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"the page cannot listen at {host}:{port}: {error}") from error
    return listener
