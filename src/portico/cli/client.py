"""`portico client URL`: talk to a server from the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from portico.cli.parser import LineParser
from portico.client import APIClient
from portico.errors import PorticoError

PROMPT = "\ndouble enter to end input >>> "
DEFAULT_URL = "http://127.0.0.1:8000"

Read = Callable[[], str]
"""Reads one line without its end; raises EOFError at the end of the input."""


def make_parser(prog: str) -> LineParser:
    """The verb's command line."""
    parser = LineParser(
        prog=prog,
        description="Talk to a server that keeps the conversation. Two line ends send what was typed; 'end' begins a "
        "new conversation, 'exit' leaves. Ctrl-C stops an answer.",
    )
    parser.add_argument("url", nargs="?", default=DEFAULT_URL, metavar="URL", help=f"(default: {DEFAULT_URL})")
    parser.add_argument("--api-key", "--api_key", metavar="KEY", help="the server's key, if it asks for one")
    parser.add_argument(
        "--session-id", "--session_id", type=int, default=1, metavar="N", help="which conversation (default: 1)"
    )
    return parser


def run(arguments: Sequence[str], prog: str = "portico client") -> int:
    """Talk until 'exit', Ctrl-D, or Ctrl-C at the prompt; returns the exit status, raises PorticoError."""
    parsed = make_parser(prog).parse_args(list(arguments))
    url = parsed.url if "://" in parsed.url else f"http://{parsed.url}"
    client = APIClient(url, parsed.api_key)
    try:
        if not client.available_models:
            raise PorticoError(f"{url} does not tell its models; it may want another --api-key")
        print(f"{', '.join(client.available_models)} at {url}; 'end' begins anew, 'exit' leaves")
        talk(client, parsed.session_id, input)
    except httpx.InvalidURL as error:
        raise PorticoError(f"{url} is no URL: {error}") from error
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise PorticoError(f"there is no answer from {url}: {error}") from error
    finally:
        client.close()
    return 0


def talk(client: APIClient, session_id: int, read: Read) -> None:
    """The loop, over whatever reads lines."""
    while True:
        try:
            said = _typed(read)
        except (EOFError, KeyboardInterrupt):
            said = "exit"
            print()
        if said in ("exit", "end"):
            _check(list(client.end_session(session_id)))
            if said == "exit":
                return
        elif said:
            _answer(client, session_id, said)


def _typed(read: Read) -> str:
    print(PROMPT, end="", flush=True)
    lines: list[str] = []
    while True:
        try:
            line = read()
        except EOFError:
            if not lines:
                raise
            line = ""
        if not line:
            return "\n".join(lines)
        lines.append(line)


def _answer(client: APIClient, session_id: int, said: str) -> None:
    answer = client.chat_interactive_v1(said, session_id=session_id, interactive_mode=True, stream=True)
    last: dict[str, Any] = {}
    try:
        for last in answer:
            _check([last])
            print(last["text"], end="", flush=True)
    except KeyboardInterrupt:
        client.cancel(session_id)
    print()
    if last.get("finish_reason") == "length" and not last["tokens"]:
        print("The conversation is too long to go on; 'end' begins a new one.", file=sys.stderr)


def _check(items: Sequence[dict[str, object]]) -> None:
    for item in items:
        error = item.get("error", item)
        if isinstance(error, dict) and "message" in error:
            raise PorticoError(str(error["message"]))
