"""Running the application on a socket until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from portico.config.tls import TlsFiles
from portico.errors import ConfigError
from portico.protocol.limits import LIMITS
from portico.server.connections import HttpConnection, most_connections
from portico.server.drain import Drain
from portico.server.errors import ShapeOf, openai_shape

BACKLOG = 2048
ACCEPTED_TOGETHER = 64
"""Connections that are taken before any of them is counted."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. ConfigError if the address cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"Cannot listen at {host}:{port}: {error.strerror or error}.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(f"Cannot listen at {host}:{port}: {error.strerror or error}.") from error
    listener.setblocking(False)
    return listener


async def serve(
    app: ASGIApp,
    listener: socket.socket,
    *,
    drain_seconds: float = 5.0,
    shape_of: ShapeOf = openai_shape,
    stop: asyncio.Event | None = None,
    on_ready: Callable[[], None] | None = None,
    tls: TlsFiles | None = None,
) -> None:
    """Serve until SIGINT, SIGTERM or `stop`; then take no more requests, let those that run end, and return.

    Meanwhile what asks the model, and /health, are answered with 503, in the shape of each. Requests that still run
    after `drain_seconds`, or at a second signal, are cancelled, and their clean-up is waited for. Signals are taken
    only when this is the main thread's event loop; they are not raised again, so that the caller can close what else
    there is.
    `on_ready` is called once connections are accepted. ConfigError if the files of `tls` are not what they should be.
    """
    drain = Drain(app, shape_of)
    config = uvicorn.Config(
        drain,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        # The other parser, httptools, saves a few µs for a chunk but takes headers of any size (as CVE-2025-48956).
        http=HttpConnection,
        h11_max_incomplete_event_size=LIMITS.header_bytes,
        lifespan="off",
        backlog=ACCEPTED_TOGETHER,
        limit_concurrency=most_connections(),
        **_tls_arguments(tls),
    )
    try:
        config.load()
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"HTTPS: the key and the certificate cannot be used: {error}.") from error
    server = _Server(config, drain, drain_seconds)
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(_when_started(server, listener, on_ready))]
    if stop is not None:
        tasks.append(loop.create_task(_stop_when(stop, server)))
    try:
        with _signals(loop, server):
            await server.serve(sockets=[listener])
    finally:
        for task in [*tasks, *server.tasks]:
            task.cancel()
        running = list(server.server_state.tasks)
        for request in running:
            if not request.cancelling():  # at a second signal uvicorn leaves them
                request.cancel()
        await asyncio.gather(*tasks, *server.tasks, *running, return_exceptions=True)


def _tls_arguments(tls: TlsFiles | None) -> dict[str, Any]:
    if tls is None:
        return {}
    return {
        "ssl_keyfile": tls.keyfile,
        "ssl_certfile": tls.certfile,
        "ssl_keyfile_password": tls.password,
        "ssl_ca_certs": tls.ca_certs,
        "ssl_cert_reqs": tls.cert_reqs,
    }


class _Server(uvicorn.Server):
    """uvicorn's server without its own signal handling, which raises the signal again and so ends the process."""

    def __init__(self, config: uvicorn.Config, drain: Drain, drain_seconds: float) -> None:
        super().__init__(config)
        self.tasks: list[asyncio.Task[None]] = []
        self._drain = drain
        self._drain_seconds = drain_seconds

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def ask_to_stop(self) -> None:
        """The first time: drain; the second time: stop now."""
        if self.tasks:
            self.force_exit = self.should_exit = True
            return
        self._drain.begin(self._drain_seconds)
        self.tasks.append(asyncio.get_running_loop().create_task(self._exit_when_drained()))

    async def _exit_when_drained(self) -> None:
        left = await self._drain.wait()
        # What is left is for slow readers. Whole seconds are only uvicorn's annotation; asyncio.wait_for reads it.
        self.config.timeout_graceful_shutdown = left  # type: ignore[assignment]
        self.should_exit = True


@contextlib.contextmanager
def _signals(loop: asyncio.AbstractEventLoop, server: _Server) -> Iterator[None]:
    handled: list[signal.Signals] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        # ValueError, RuntimeError: not the main thread. NotImplementedError: a loop without signals (Windows).
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            loop.add_signal_handler(number, server.ask_to_stop)
            handled.append(number)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


async def _when_started(server: uvicorn.Server, listener: socket.socket, on_ready: Callable[[], None] | None) -> None:
    while not server.started:
        await asyncio.sleep(0.01)
    listener.listen(BACKLOG)  # asyncio has made it as short as what is taken together
    if on_ready is not None:
        on_ready()


async def _stop_when(stop: asyncio.Event, server: _Server) -> None:
    await stop.wait()
    server.ask_to_stop()
