"""`portico serve [MODEL]`: start the engine, open the port, say what is served and how to try it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from portico import __version__
from portico.cli.parser import LineParser, add_options, collect
from portico.config.serve import ServeOptions
from portico.config.sessions import default_session_store
from portico.config.text import TextOptions
from portico.demo import NAME as DEMO_NAME
from portico.demo import demo_folder
from portico.engine.client import AsyncEngineClient, EngineProcess
from portico.errors import ConfigError, EngineError, PorticoError
from portico.protocol.messages import Loaded
from portico.text.builtin import builtin_names, template_source

if TYPE_CHECKING:
    from portico.server.sessions.sessions import Sessions

log = logging.getLogger(__name__)

ENVIRONMENT_NOTE = (
    "Every option can also be given by the environment: --max-model-len as PORTICO_MAX_MODEL_LEN. "
    "The command line comes first."
)


def make_parser() -> LineParser:
    """The verb's command line."""
    parser = LineParser(
        prog="portico serve",
        description="Serve a model over HTTP, behind the OpenAI API.",
        epilog=ENVIRONMENT_NOTE,
    )
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help=f"a folder with config.json and safetensors, or a hub id (default: the bundled {DEMO_NAME})",
    )
    add_options(parser, ServeOptions)
    return parser


def run(arguments: Sequence[str]) -> int:
    """Serve until Ctrl-C or SIGTERM; returns the exit status, raises PorticoError if serving cannot begin."""
    parsed = make_parser().parse_args(list(arguments))
    options: ServeOptions = collect(ServeOptions, parsed)
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # the banner says when and where
    template = None if options.chat_template is None else template_source(options.chat_template)
    folder, names = locate(parsed.model, options.served_model_name)
    tokenizer = None if options.tokenizer is None else locate(options.tokenizer, (), weights=False)[0]
    text = options.text(None if tokenizer is None else str(tokenizer), template)
    # The engine loads torch and weights while this process imports the web server.
    process = EngineProcess(options.engine(str(folder), text.tokenizer))
    try:
        asyncio.run(_serve(process, folder, text, names, options))
    finally:
        process.close()
    return 0


def locate(model: str | None, served_names: Sequence[str], *, weights: bool = True) -> tuple[Path, tuple[str, ...]]:
    """The checkpoint's folder (fetched from the hub if need be) and the names that clients may use."""
    if model is None or model == DEMO_NAME:
        return demo_folder(), tuple(served_names) or (DEMO_NAME,)
    from portico.weights.hub import resolve_model

    return resolve_model(model, weights=weights), tuple(served_names) or (model,)


async def _serve(
    process: EngineProcess, folder: Path, text: TextOptions, names: Sequence[str], options: ServeOptions
) -> None:
    # Imported only now: the engine process is already starting beside us.
    from portico.server.app import create_app
    from portico.server.serve import bind, serve
    from portico.server.settings import ServerSettings
    from portico.text.model import TextModel

    listener = bind(options.host, options.port)
    client = AsyncEngineClient(process)
    sessions: Sessions | None = None
    try:
        sessions = await _open_sessions(options)
        settings = ServerSettings(
            model_names=tuple(names), api_keys=options.api_key, version=__version__, max_logprobs=options.max_logprobs
        )
        model = TextModel.load(folder, text)
        app = create_app(client, model, settings, sessions)
        stop = asyncio.Event()
        server = asyncio.create_task(serve(app, listener, drain_seconds=options.drain_timeout, stop=stop))
        announcement = asyncio.create_task(
            _announce(client, names, listener.getsockname()[1], model.template.available, options)
        )
        await asyncio.wait({server, announcement}, return_when=asyncio.FIRST_COMPLETED)
        if announcement.done() and announcement.exception() is not None:
            stop.set()
        await server
        announcement.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await announcement
    finally:
        if sessions is not None:
            await sessions.close()
        await client.close()


async def _open_sessions(options: ServeOptions) -> Sessions:
    """The store that is asked for; the default one gives way to the memory where it cannot be had."""
    from portico.server.sessions.sessions import Sessions
    from portico.server.sessions.store import SessionLimits, open_store

    limits = SessionLimits(options.max_sessions, options.session_idle)
    if options.session_store != "auto":
        return Sessions(await open_store(options.session_store, limits))
    try:
        store = await open_store(default_session_store(os.environ), limits)
    except ConfigError as error:
        log.warning("%s They end with this server.", error)
        store = await open_store("memory:", limits)
    return Sessions(store)


async def _announce(
    client: AsyncEngineClient, names: Sequence[str], port: int, chat: bool, options: ServeOptions
) -> None:
    try:
        loaded = await client.wait_loaded()
    except EngineError:
        raise PorticoError(client.failure() or "the engine did not start") from None
    print(banner(loaded, names, port, options, chat=chat), flush=True)


def banner(loaded: Loaded, names: Sequence[str], port: int, options: ServeOptions, *, chat: bool = True) -> str:
    """What is served, where, and a line to try; `chat`: whether the model has a chat template."""
    host = f"[{options.host}]" if ":" in options.host else options.host
    url = f"http://{host}:{port}"
    key = ' -H "Authorization: Bearer $KEY"' if options.api_key else ""
    asked = (
        {"messages": [{"role": "user", "content": "Hello! Who are you?"}]} if chat else {"prompt": "Once upon a time"}
    )
    body = json.dumps({"model": names[0], **asked})
    route = "chat/completions" if chat else "completions"
    hint = (
        "" if chat else f"  no chat template: chat is refused; --chat-template {'|'.join(builtin_names())} or a file\n"
    )
    cache = loaded.num_blocks * loaded.block_size
    return (
        f"Portico {__version__} serves {', '.join(names)} at {url}/v1\n"
        f"  {loaded.device}, {loaded.dtype}, {loaded.threads} threads, kernels {loaded.kernels}; context "
        f"{loaded.max_model_len} tokens, KV cache {cache} tokens; model loaded in {loaded.load_seconds:.2f} s\n"
        f"  weights {loaded.weights}\n"
        f"{hint}  try:  curl {url}/v1/{route} -H 'Content-Type: application/json'{key} -d {shlex.quote(body)}\n"
        f"  docs: {url}/docs     stop: Ctrl-C"
    )
