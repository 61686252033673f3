"""A model that thinks and calls tools, and a server whose engine says what a test wants of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from tokenizers import AddedToken

from tests.server.fake_engine import LOADED
from tests.server.harness import LiveServer
from tests.text import folders

TEMPLATE = """{%- for tool in tools or [] %}{{- tool | tojson + '\\n' }}{% endfor %}
{%- for message in messages %}
{{- '[' + message.role + ']' }}
{%- if message.reasoning_content %}{{- '<think>' + message.reasoning_content + '</think>' }}{%- endif %}
{{- message.content or '' }}
{%- for call in message.tool_calls or [] %}
{{- '<tool_call>' + call.function.name + (call.function.arguments | tojson) + '</tool_call>' }}{% endfor %}
{%- endfor %}
{%- if tools %}{{- 'tools <tool_call> arguments' }}{%- endif %}
{{- '[assistant]' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"""
ROOMY = replace(LOADED, max_model_len=4096)


def call_of(name: str, **arguments: Any) -> str:
    """As the model writes it."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments}, ensure_ascii=False)}\n</tool_call>"


def write_thinker(folder: Path) -> Path:
    """The model's folder."""
    tokenizer = folders.byte_level()
    marks = ("</think>", "<tool_call>", "</tool_call>")
    tokenizer.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in marks])
    return folders.write_folder(folder, tokenizer, template=TEMPLATE)


def as_new(server: LiveServer) -> None:
    """Forget what the engine was asked, and give it room for long prompts."""
    server.engine.limits = ROOMY
    server.engine.added.clear()
    server.engine.cancelled.clear()


def prompt(server: LiveServer) -> str:
    """What the model read last."""
    ids = server.engine.added[-1].prompt_ids
    return server.text.tokenizer.decode(ids, skip_special_tokens=False)
