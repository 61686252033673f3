"""The page: a Gradio ChatInterface that talks to a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from portico.client.answers import Answer, ChatError
from portico.client.conversation import read_tools
from portico.client.settings import EFFORTS
from portico.client.web.asking import AsyncChatServer
from portico.client.web.history import bubbles, trouble, turns
from portico.client.web.look import CSS, HEAD, theme

FRAME_SECONDS = 0.06
"""Between pictures of a growing answer."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page is about."""

    server: AsyncChatServer
    model: str | None
    """None: whatever the server lists first."""
    key: str | None
    """The server's key, kept on this side."""
    asks_key: bool = False
    """Whether the person has to bring one."""
    reads_images: bool = False


def build(page: Page) -> gr.Blocks:
    """The page, to be mounted."""
    name = page.model or "Chat"
    with gr.Blocks(title=f"{name} · Portico", fill_height=True, analytics_enabled=False) as blocks:
        with gr.Sidebar(open=False, position="right", width=300):
            inputs = _settings(page)
        status = gr.HTML(_status("&nbsp;"), render=False)
        chatbot = gr.Chatbot(
            show_label=False,
            elem_id="conversation",
            scale=1,
            layout="panel",
            buttons=["copy"],
            placeholder=f"<h2>{_escaped(name)}</h2>Ask something.",
            feedback_options=None,
            allow_tags=False,
            height="100%",
            min_height=200,
        )
        placeholder = "Message; Shift-Enter for a new line"
        box: Any = (
            gr.MultimodalTextbox(
                placeholder=placeholder, show_label=False, file_types=["image"], sources=["upload"], max_lines=8
            )
            if page.reads_images
            else gr.Textbox(placeholder=placeholder, show_label=False, container=False, max_lines=8, scale=7)
        )
        gr.ChatInterface(
            _answering(page),
            chatbot=chatbot,
            textbox=box,
            multimodal=page.reads_images,
            additional_inputs=inputs,
            additional_outputs=[status],
            editable=True,
            concurrency_limit=None,
            show_progress="hidden",
            api_visibility="private",
            analytics_enabled=False,
            fill_width=False,
        )
        status.render()
    return blocks


def look() -> dict[str, Any]:
    """How it looks, for `gradio.mount_gradio_app`."""
    return {
        "theme": theme(),
        "css": CSS,
        "head": HEAD,
        "favicon_path": str(Path(__file__).with_name("portico.svg")),
        "footer_links": [],
    }


def _settings(page: Page) -> list[Any]:
    gr.Markdown("### Settings")
    key = gr.Textbox(
        label="API key", type="password", visible=page.asks_key, info="The server wants one; it stays in this page."
    )
    system = gr.Textbox(label="System prompt", lines=3, max_lines=10)
    gr.Markdown("What is empty is the server's own.", elem_classes="aside")
    with gr.Row():
        temperature = gr.Number(label="Temperature", value=None, minimum=0, maximum=2, step=0.1, min_width=100)
        top_p = gr.Number(label="Top p", value=None, minimum=0.01, maximum=1, step=0.05, min_width=100)
    with gr.Row():
        max_tokens = gr.Number(label="Most tokens", value=None, minimum=1, precision=0, min_width=100)
        seed = gr.Number(label="Seed", value=None, precision=0, min_width=100)
    effort = gr.Dropdown(["", *EFFORTS], label="Reasoning effort", value="")
    with gr.Accordion("Tools", open=False):
        tools = gr.Code(label="Functions the model may call, as JSON", language="json", lines=6, max_lines=14)
        gr.Markdown("What you write after a call is its result.", elem_classes="aside")
    return [key, system, temperature, top_p, max_tokens, seed, effort, tools]


def _answering(page: Page) -> Callable[..., AsyncIterator[Any]]:
    async def answer(
        message: Any,
        history: list[dict[str, Any]],
        key: str,
        system: str,
        temperature: float | None,
        top_p: float | None,
        max_tokens: float | None,
        seed: float | None,
        effort: str | None,
        tools: str | None,
    ) -> AsyncIterator[Any]:
        said, files = (message["text"], message["files"]) if isinstance(message, dict) else (message, [])
        bearer = page.key or (key or "").strip() or None
        answered = Answer()
        yield [], _status("…")
        try:
            fields = _fields(temperature, top_p, max_tokens, seed, effort, tools)
            asked = turns(history, said, files)
            messages = [*([{"role": "system", "content": system}] if system.strip() else []), *asked]
            model = page.model or (await page.server.models(bearer))[0].name
            drawn, loop = 0.0, asyncio.get_running_loop()
            async for answered in page.server.ask(model, messages, fields, bearer):
                if loop.time() - drawn >= FRAME_SECONDS:
                    drawn = loop.time()
                    yield bubbles(answered, done=False), _status(_running(answered))
        except (ChatError, ValueError, IndexError) as error:
            why = str(error) if str(error) and not isinstance(error, IndexError) else "the server has no model"
            yield [*bubbles(answered, done=True), trouble(why)], _status("&nbsp;")
            return
        shown = bubbles(answered, done=True) or [trouble(f"the model said nothing ({answered.told()})")]
        yield shown, _status(answered.told())

    return answer


def _fields(
    temperature: float | None,
    top_p: float | None,
    max_tokens: float | None,
    seed: float | None,
    effort: str | None,
    tools: str | None,
) -> dict[str, Any]:
    fields = {
        "temperature": temperature,
        "top_p": top_p,
        "max_tokens": None if max_tokens is None else int(max_tokens),
        "seed": None if seed is None else int(seed),
        "reasoning_effort": effort or None,
    }
    given: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    if tools and tools.strip():
        try:
            given["tools"] = read_tools(json.loads(tools))
        except ValueError as error:
            raise ValueError(f"the tools in the settings cannot be read: {error}") from error
    return given


def _running(answer: Answer) -> str:
    speed = answer.speed()
    return "…" if speed is None else f"{answer.pieces} tokens · {speed:.1f} tokens/s …"


def _status(text: str) -> str:
    return f'<div id="figures" role="status">{text}</div>'


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
