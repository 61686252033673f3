from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from portico.config.text import TextOptions
from portico.text.model import TextModel
from tests.server.fake_engine import LOADED, echo
from tests.server.harness import SETTINGS, LiveServer, portico
from tests.text.folders import write_folder

TEMPLATE = (
    "{% for tool in tools or [] %}{{ tool | tojson }}\n{% endfor %}"
    "{% for message in messages %}{{ message.role + ':' + (message.content or '') }}\n{% endfor %}"
)


@pytest.fixture(scope="module")
def mlc_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder: Path = write_folder(tmp_path_factory.mktemp("tools"), template=TEMPLATE)
    model = TextModel.load(folder, TextOptions(tool_call_parser="hermes"))
    with portico(model, replace(SETTINGS, compat="mlc", api_keys=("key",))) as server:
        yield server


@pytest.fixture
def mlc(mlc_server: LiveServer) -> LiveServer:
    """A server that speaks as MLC LLM."""
    mlc_server.engine.script = echo
    mlc_server.engine.added.clear()
    return mlc_server


@pytest.fixture(scope="module")
def chat_server(text_model: TextModel) -> Iterator[LiveServer]:
    with portico(text_model, replace(SETTINGS, compat="mlc-chat")) as server:
        yield server


@pytest.fixture
def mlc_chat(chat_server: LiveServer) -> LiveServer:
    """A server that speaks as MLC-Chat, its conversation not begun."""
    chat_server.engine.script, chat_server.engine.limits = echo, LOADED
    chat_server.engine.added.clear()
    with chat_server.http() as http:
        assert http.post("/chat/reset").text == "null"
    return chat_server
