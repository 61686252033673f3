"""The page: a Gradio ChatInterface that talks to a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from portico.client.answers import Answer, ChatError
from portico.client.conversation import read_tools
from portico.client.settings import EFFORTS, read_setting
from portico.client.web.asking import AsyncChatServer
from portico.client.web.history import bubbles, trouble, turns
from portico.client.web.look import CSS, HEAD, theme

FRAME_SECONDS = 0.06
"""Between pictures of a growing answer."""

SHOWN: Mapping[str, str] = {
    "Temperature": "temperature",
    "Top p": "top_p",
    "Top k": "top_k",
    "Min p": "min_p",
    "Most tokens": "max_tokens",
    "Seed": "seed",
    "Repetition penalty": "repetition_penalty",
    "Stop at": "stop",
}
"""The settings that the page has, by their labels."""


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
        gr.HTML(f'<div id="who"><b>{_escaped(name)}</b> at {_escaped(page.server.url)}</div>')
        status = gr.HTML(_status("&nbsp;"), render=False)
        chatbot = gr.Chatbot(
            show_label=False,
            elem_id="conversation",
            scale=1,
            layout="bubble",
            buttons=["copy"],
            placeholder="Ask something.",
            feedback_options=None,
            allow_tags=False,
            height="calc(100dvh - 12.5rem)",
            min_height=160,
        )
        placeholder = "Message; Shift-Enter for a new line"
        box: Any = (
            gr.MultimodalTextbox(
                placeholder=placeholder,
                show_label=False,
                file_types=["image"],
                sources=["upload"],
                max_lines=8,
                elem_id="message",
                stop_btn=True,
                autofocus=True,
            )
            if page.reads_images
            else gr.Textbox(
                placeholder=placeholder,
                show_label=False,
                max_lines=8,
                scale=7,
                elem_id="message",
                submit_btn=True,
                stop_btn=True,
                autofocus=True,
            )
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
    numbers = []
    labels = list(SHOWN)
    for first in range(0, len(labels), 2):
        with gr.Row():
            pair = labels[first : first + 2]
            numbers += [gr.Textbox(label=label, placeholder="auto", min_width=100) for label in pair]
    effort = gr.Dropdown(["", *EFFORTS], label="Reasoning effort", value="")
    with gr.Accordion("Tools", open=False):
        tools = gr.Code(label="Functions the model may call, as JSON", language="json", lines=6, max_lines=14)
        gr.Markdown("What you write after a call is its result.", elem_classes="aside")
    return [key, system, effort, tools, *numbers]


def _answering(page: Page) -> Callable[..., AsyncIterator[Any]]:
    async def answer(
        message: Any,
        history: list[dict[str, Any]],
        key: str,
        system: str,
        effort: str | None,
        tools: str | None,
        *numbers: str,
    ) -> AsyncIterator[Any]:
        said, files = (message["text"], message["files"]) if isinstance(message, dict) else (message, [])
        bearer = page.key or (key or "").strip() or None
        answered = Answer()
        yield [], _status("…")
        try:
            fields = _fields(effort, tools, numbers)
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


def _fields(effort: str | None, tools: str | None, numbers: Sequence[str]) -> dict[str, Any]:
    texts = {**dict(zip(SHOWN.values(), numbers, strict=True)), "reasoning_effort": effort or ""}
    given = dict(read_setting(name, text.strip()) for name, text in texts.items() if text.strip())
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
