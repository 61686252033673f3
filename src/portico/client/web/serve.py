"""The page on a port."""

from __future__ import annotations

import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portico.client.web.look import POLICY
from portico.client.web.page import Page, build, look


def create_app(page: Page) -> ASGIApp:
    """The application with the page at its root."""

    @asynccontextmanager
    async def closing(app: FastAPI) -> AsyncIterator[None]:
        yield
        await page.server.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=closing)
    blocks = build(page)
    blocks.queue(api_open=False)
    return guarded(gr.mount_gradio_app(app, blocks, "/", ssr_mode=False, **look()))


def guarded(app: ASGIApp) -> ASGIApp:
    """The same with headers that keep a browser from fetching anything elsewhere."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        await app(scope, receive, add)

    return answer


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM, and return."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)  # uvicorn has its own while it runs, and raises the signal again when it ends
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=2
    )
    uvicorn.Server(config).run(sockets=[listener])


def _end(number: int, frame: object) -> None:
    """Nothing is left to do."""
