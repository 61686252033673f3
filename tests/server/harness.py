"""A real server on a loopback port, with its own thread and event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from openai import AsyncOpenAI, OpenAI
from starlette.types import ASGIApp

from portico.config.tls import TlsFiles
from portico.server.app import create_app
from portico.server.serve import bind, serve
from portico.server.sessions.sessions import Sessions
from portico.server.settings import ServerSettings
from portico.text.model import TextModel
from tests.server.fake_engine import FakeEngine, say

MODEL = "org/tiny"
EOS = 2
SETTINGS = ServerSettings(model_names=(MODEL, "alias"), version="1.2.3")


@dataclass
class LiveServer:
    """Where a running server is, and the engine behind it."""

    engine: FakeEngine
    text: TextModel
    host: str
    port: int
    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event
    thread: threading.Thread

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def openai(self, key: str = "none") -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=30)

    def async_openai(self, key: str = "none") -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=30)

    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30)

    def ask_to_stop(self) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)


def answering(server: LiveServer, text: str, finish: str = "stop", per_step: int = 1) -> list[int]:
    """Let every choice of what is asked next say this text, whose tokens are given back, and end with its end token."""
    ids = server.text.tokenizer.encode(text, add_special_tokens=False)
    server.engine.script = say([*ids, EOS] if finish == "stop" else ids, finish, per_step)
    return ids


@contextmanager
def running(
    app: ASGIApp, engine: FakeEngine, text: TextModel, *, drain_seconds: float = 5.0, tls: TlsFiles | None = None
) -> Iterator[LiveServer]:
    """Serve `app` until the block ends."""
    listener = bind("127.0.0.1", 0)
    host, port = listener.getsockname()[:2]
    ready = threading.Event()
    handles: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def main() -> None:
        stop = asyncio.Event()
        handles.append((asyncio.get_running_loop(), stop))
        await serve(app, listener, drain_seconds=drain_seconds, stop=stop, on_ready=ready.set, tls=tls)

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="server")
    thread.start()
    assert ready.wait(20)
    loop, stop = handles[0]
    server = LiveServer(engine, text, host, port, loop, stop, thread)
    try:
        yield server
    finally:
        if thread.is_alive():
            server.ask_to_stop()
        thread.join(30)
        assert not thread.is_alive(), "the server did not stop"


@contextmanager
def portico(
    text: TextModel,
    settings: ServerSettings = SETTINGS,
    drain_seconds: float = 5.0,
    sessions: Sessions | None = None,
) -> Iterator[LiveServer]:
    """A server over a fresh fake engine."""
    engine = FakeEngine()
    with running(create_app(engine, text, settings, sessions), engine, text, drain_seconds=drain_seconds) as server:
        yield server
