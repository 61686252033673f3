from __future__ import annotations

from collections.abc import Iterator

import pytest

from portico.text.model import TextModel
from tests.server.fake_engine import LOADED, echo
from tests.server.harness import LiveServer, portico
from tests.server.thinker import write_thinker
from tests.text.folders import write_folder


@pytest.fixture(scope="session")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    return TextModel.load(write_folder(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="session")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    return TextModel.load(write_thinker(tmp_path_factory.mktemp("thinker")))


@pytest.fixture(scope="module")
def shared_server(text_model: TextModel) -> Iterator[LiveServer]:
    with portico(text_model) as server:
        yield server


@pytest.fixture
def server(shared_server: LiveServer) -> Iterator[LiveServer]:
    """The module's server, its engine as new; after each test nothing may be left running in it."""
    engine = shared_server.engine
    engine.script, engine.limits, engine.why_failed = echo, LOADED, None
    engine.added.clear()
    engine.cancelled.clear()
    yield shared_server
    engine.wait_for(lambda: not engine.running)
