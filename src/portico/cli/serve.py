"""`portico serve [MODEL]`: start the engine, open the port, say what is served and how to try it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from portico import __version__, logs
from portico.cli.banner import banner
from portico.cli.beside import Beside
from portico.cli.page import check_page, page_beside
from portico.cli.parser import LineParser, add_options, given_flags
from portico.config.compat import CompatName, choose_compat, text_habits
from portico.config.given import Given
from portico.config.keys import Keys, key_digest
from portico.config.option import variable
from portico.config.options.http import HttpOptions
from portico.config.options.sessions import SessionOptions
from portico.config.serve import ServeOptions, Settled, serve_options, settle_serve
from portico.config.sessions import default_session_store
from portico.config.text import TextOptions
from portico.config.tls import TlsFiles
from portico.demo import NAME as DEMO_NAME
from portico.demo import demo_folder
from portico.engine.client import AsyncEngineClient
from portico.engine.link import EngineProcess
from portico.errors import ConfigError, EngineError, PorticoError
from portico.text.builtin import given_template

if TYPE_CHECKING:
    from portico.server.sessions.sessions import Sessions
    from portico.server.settings import ServerSettings

log = logging.getLogger(__name__)

NOTE = (
    "Every option can also be given by the environment, --max-model-len as PORTICO_MAX_MODEL_LEN, and in the file of "
    "--config; the command line comes first, then the environment, then the file."
)


SWITCH_SECONDS = 0.001
"""After so long a thread that reads a large body or a template lets the streams go on, if they wait."""


@dataclass(frozen=True, slots=True)
class Form:
    """A way of starting the server, with what the server that has it does unless told otherwise."""

    prog: str = "portico serve"
    defaults: Mapping[str, str] = field(default_factory=dict)


FORMS = {
    "api_server": Form("portico serve api_server", {"host": "0.0.0.0", "port": "23333", "compat": "lmdeploy"}),
}
"""First words behind `serve` that are not a model."""
NOT_YET = {
    "proxy": "a proxy that spreads requests over servers",
}


def make_parser(prog: str = Form().prog) -> LineParser:
    """The verb's command line."""
    parser = LineParser(
        prog=prog,
        usage=f"{prog} [MODEL] [options]",
        description="Serve a model over HTTP, behind the OpenAI API.",
        epilog=NOTE,
    )
    parser.add_argument(
        "position",
        nargs="?",
        metavar="MODEL",
        help="a folder with config.json and safetensors, a name under dist/ or --models-dir, HF://owner/name or a hub "
        f"id (default: the bundled {DEMO_NAME})",
    )
    parser.add_argument(
        "--config", metavar="FILE", help="options from a YAML file, by their names: max_model_len: 4096"
    )
    add_options(parser, serve_options())
    return parser


def read_options(arguments: Sequence[str], form: Form = Form()) -> Settled:
    """What the command line, the environment and a file come to; ends the program with status 2 if they cannot be."""
    parser = make_parser(form.prog)
    parsed = parser.parse_args(list(arguments))
    flags = given_flags(parsed, serve_options())
    try:
        if parsed.position is not None:
            if "model" in flags and flags["model"].texts[-1] != parsed.position:
                raise ConfigError(f"the model is {parsed.position} and {flags['model'].where} says another")
            flags["model"] = Given("MODEL", (parsed.position,))
        return settle_serve(flags, os.environ, parsed.config or os.environ.get(variable("config")), form.defaults)
    except ConfigError as error:
        parser.error(str(error))


def run(arguments: Sequence[str], form: Form | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM; returns the exit status, raises PorticoError if serving cannot begin."""
    if form is None and arguments and arguments[0] == "api_client":
        from portico.cli.client import run as talk

        return talk(arguments[1:], "portico serve api_client")
    if form is None and arguments and arguments[0] == "gradio":
        from portico.cli.web import GRADIO
        from portico.cli.web import make_parser as page_parser
        from portico.cli.web import run as page

        return page(arguments[1:], page_parser("portico serve gradio", *GRADIO))
    if form is None and arguments and arguments[0] in NOT_YET:
        make_parser().error(f"{arguments[0]}: {NOT_YET[arguments[0]]} is not there yet")
    if form is None and arguments and arguments[0] in FORMS:
        form, arguments = FORMS[arguments[0]], arguments[1:]
    settled = read_options(arguments, form or Form())
    options = settled.options
    logs.set_up(options.http.log_level, cast(logs.LogFormat, options.http.log_format), "server")
    logging.getLogger("uvicorn").setLevel(options.http.uvicorn_log_level.upper())  # the banner says when and where
    for sentence in settled.without_effect:
        log.info("%s", sentence)
    return _run(options)


def _run(options: ServeOptions) -> int:
    tls = options.tls(os.environ)
    keys = options.http.keys(os.environ)
    options = replace(options, http=replace(options.http, api_key=tuple(keys)))
    model = options.model
    template = None if model.chat_template is None else given_template(model.chat_template)
    folder, names = locate(options, model.model), model.served_model_name or (model.model or DEMO_NAME,)
    tokenizer = None if model.tokenizer is None else locate(options, model.tokenizer, weights=False)
    beside = None if tokenizer is None else str(tokenizer)
    compat = choose_compat(options.http.compat, names)
    habits = text_habits(compat, names)
    if template is None:
        text = options.text(beside, habits=habits)
    else:
        text = options.text(beside, template.source, template.stop_words, habits)
    sys.setswitchinterval(SWITCH_SECONDS)
    _leave_at_a_signal()
    # The engine loads torch and weights while this process imports the web server.
    process = EngineProcess(options.engine(str(folder), text.tokenizer))
    try:
        asyncio.run(_serve(process, folder, text, names, compat, options, tls, keys))
    finally:
        process.close()
    return 0


def _leave_at_a_signal() -> None:
    """Until there is a server that can drain, a signal to stop is a clean end."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(0)

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(number, leave)


def locate(options: ServeOptions, model: str | None, *, weights: bool = True) -> Path:
    """The folder of a model, or of a tokenizer (without weights), fetched from the hub if need be."""
    if model is None or model == DEMO_NAME:
        return demo_folder()
    from portico.weights.hub import Hub
    from portico.weights.places import resolve_model

    asked = options.model
    revision = asked.revision if weights else asked.tokenizer_revision or asked.revision
    hub = Hub(revision, asked.download_dir, asked.hf_token)
    return resolve_model(model, weights=weights, hub=hub, models_dir=asked.models_dir)


async def _serve(
    process: EngineProcess,
    folder: Path,
    text: TextOptions,
    names: Sequence[str],
    compat: CompatName,
    options: ServeOptions,
    tls: TlsFiles | None,
    keys: Keys,
) -> None:
    # Imported only now: the engine process is already starting beside us.
    from portico.server.app import create_app, error_shapes
    from portico.server.serve import bind, serve
    from portico.server.telemetry import open_telemetry
    from portico.text.model import TextModel

    http = options.http
    endpoint = http.otlp_traces_endpoint
    telemetry = None if endpoint is None else open_telemetry(endpoint, __version__)
    if http.web:
        check_page(secure=tls is not None)
    listener = bind(http.host, http.port)
    for sentence in cautions(http, tls):
        log.warning("%s", sentence)
    client = AsyncEngineClient(process, step_timeout=options.compute.step_timeout)
    sessions: Sessions | None = None
    try:
        sessions = await _open_sessions(options.sessions)
        settings = _settings(options, names, compat, keys)
        model = TextModel.load(folder, text)
        app = create_app(client, model, settings, sessions, telemetry)
        stop, shape_of = asyncio.Event(), error_shapes(compat)
        server = asyncio.create_task(
            serve(app, listener, drain_seconds=http.drain_timeout, shape_of=shape_of, stop=stop, tls=tls)
        )
        announcement = asyncio.create_task(
            _announce(client, names, listener.getsockname()[1], model.template.available, options, tls)
        )
        await asyncio.wait({server, announcement}, return_when=asyncio.FIRST_COMPLETED)
        if announcement.done() and announcement.exception() is not None:
            stop.set()
        try:
            await server
        finally:
            announcement.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await announcement
            if (page := announcement.result()) is not None:
                await asyncio.to_thread(page.close)
    finally:
        if sessions is not None:
            await sessions.close()
        await client.close()
        if telemetry is not None:
            await asyncio.to_thread(telemetry.close)


def _settings(options: ServeOptions, names: Sequence[str], compat: CompatName, keys: Keys) -> ServerSettings:
    """What the options say of the HTTP side."""
    from portico.server.settings import ServerSettings

    http = options.http
    return ServerSettings(
        model_names=tuple(names),
        api_keys=http.api_key,
        version=__version__,
        max_logprobs=http.max_logprobs,
        max_body_bytes=http.max_body_bytes,
        abort_all=http.enable_abort_handling,
        always_usage=http.enable_force_include_usage,
        tokens_as_ids=http.return_tokens_as_token_ids,
        response_role=http.response_role,
        compat=compat,
        cors=http.cors(),
        queue=options.queue(),
        rates=http.rates(),
        request_timeout=http.request_timeout,
        key_terms={key_digest(key): terms for key, terms in keys.items()},
        root_path=http.root_path,
        docs=http.docs,
        debug=http.enable_debug,
        tracing=http.enable_tracing,
        log_requests=http.log_requests,
        quiet_paths=http.disable_access_log_for_endpoints,
        log_prompts=http.log_prompts,
        max_log_len=http.max_log_len,
    )


def cautions(http: HttpOptions, tls: TlsFiles | None) -> Iterator[str]:
    """What is allowed and seldom meant, in a sentence each."""
    if not (http.api_key or is_loopback(http.host)):
        yield f"Everybody who can reach {http.host} may use this server; --api-key KEY asks for a key."
    cors = http.cors()
    if cors is not None and cors.credentials_for_all:
        yield "--allow-credentials has no effect for any origin (*): name those that may send cookies."
    if tls is not None and tls.ca_certs and not tls.cert_reqs:
        yield "--ssl-ca-certs has no effect without --ssl-cert-reqs 2 (or 1): no client is asked who it is."


def is_loopback(host: str) -> bool:
    """Whether an address is one that only this machine reaches; a name but localhost may be anything."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


async def _open_sessions(options: SessionOptions) -> Sessions:
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
    client: AsyncEngineClient, names: Sequence[str], port: int, chat: bool, options: ServeOptions, tls: TlsFiles | None
) -> Beside | None:
    try:
        loaded = await client.wait_loaded()
    except EngineError:
        raise PorticoError(client.failure() or "the engine did not start") from None
    gc.collect()
    gc.freeze()  # what is there now stays: looking through all of it for garbage stops every stream for 60 to 90 ms
    print(banner(loaded, names, port, options.http, chat=chat, secure=tls is not None), flush=True)
    if not options.http.web:
        return None
    page = await asyncio.to_thread(page_beside, options.http, port)
    print(f"  chat: {page.url}", flush=True)
    return page
