"""What docs/extend.md says how to write is written so, and works."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from portico.server import app
from portico.text.model import TextModel
from tests.docs.blocks import blocks
from tests.server.harness import LiveServer, answering, portico
from tests.text.folders import write_folder

PAGE = (Path(__file__).parents[2] / "docs" / "extend.md").read_text("utf-8")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """One that has the page's door too."""
    door = ModuleType("say_door")
    code = next(block.code for block in blocks(PAGE) if block.title == "say_door.py")
    exec(compile(code, "say_door.py", "exec"), door.__dict__)
    text = TextModel.load(write_folder(tmp_path_factory.mktemp("model")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "say_door", door)
        patch.setattr(app, "DOORS", (*app.DOORS, door))
        with portico(text) as running:
            yield running


def test_the_door_answers(server: LiveServer) -> None:
    answering(server, "good day")
    with server.http() as http:
        answer = http.post("/say", content="hello")
    assert (answer.status_code, answer.text) == (200, "good day")
    assert "x-request-id" in answer.headers


def test_the_door_streams(server: LiveServer) -> None:
    answering(server, "good day")
    with server.http() as http:
        events = http.post("/say?stream=true", content="hello").text
    pieces = [line.removeprefix("data: ") for line in events.splitlines() if line]
    assert "".join(pieces) == "good day"
    assert len(pieces) > 1


def test_the_door_is_held_to_the_limits_of_all(server: LiveServer) -> None:
    with server.http() as http:
        assert http.post("/say", content="hello", headers={"X-Request-Timeout": "never"}).status_code == 400
        assert "/say" in http.get("/openapi.json").json()["paths"]
