"""`portico client`: what it prints and sends, typed by a test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from portico.cli.client import run, talk
from portico.client import APIClient
from portico.errors import PorticoError
from portico.text.model import TextModel
from tests.server.doors.lmdeploy.test_interactive import answering, held
from tests.server.fake_engine import Gate
from tests.server.harness import MODEL, SETTINGS, LiveServer, portico


def typing(*lines: str) -> Callable[[], str]:
    """A person who types these lines and then Ctrl-D."""
    left = list(lines)

    def read() -> str:
        if not left:
            raise EOFError
        return left.pop(0)

    return read


@pytest.fixture
def client(server: LiveServer) -> APIClient:
    return APIClient(server.url)


def prompts(server: LiveServer) -> list[str]:
    return [server.text.tokenizer.decode(add.prompt_ids, skip_special_tokens=False) for add in server.engine.added]


def test_two_line_ends_send_and_the_server_remembers(
    server: LiveServer, client: APIClient, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(server, "Paris")
    talk(client, 1, typing("I am", "Marco.", "", "", "Who am I?", "", "exit", ""))
    assert capsys.readouterr().out.count("double enter to end input >>> Paris\n") == 2
    assert "user\nI am\nMarco.<|im_end|>" in prompts(server)[0]
    assert "Marco" in prompts(server)[1]


def test_end_begins_anew_and_so_does_leaving(server: LiveServer, client: APIClient) -> None:
    answering(server, "Paris")
    talk(client, 1, typing("I am Marco.", "", "end", "", "Who am I?", ""))
    talk(client, 1, typing("And now?"))
    assert ["Marco" in prompt for prompt in prompts(server)] == [True, False, False]
    assert "Who am I" not in prompts(server)[2]


def test_a_full_session_is_told(server: LiveServer, client: APIClient, capsys: pytest.CaptureFixture[str]) -> None:
    talk(client, 1, typing("word " * 300, ""))
    assert "'end' begins a new one" in capsys.readouterr().err


def test_ctrl_c_stops_an_answer_and_no_more(
    server: LiveServer, client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    held(server, gate, "one two", " three")
    asked, cancel = client.chat_interactive_v1, client.cancel

    def interrupted(*args: Any, **fields: Any) -> Iterator[dict[str, Any]]:
        for item in asked(*args, **fields):
            yield item
            if fields.get("stream") and gate.reached.wait(20):
                raise KeyboardInterrupt

    def cancelling(session_id: int) -> dict[str, Any]:
        monkeypatch.undo()
        told = cancel(session_id)
        gate.open()
        server.engine.wait_for(lambda: not server.engine.running)
        answering(server, "Paris")
        return told

    monkeypatch.setattr(client, "chat_interactive_v1", interrupted)
    monkeypatch.setattr(client, "cancel", cancelling)
    talk(client, 1, typing("hi", "", "And?", ""))
    assert "hi<|im_end|>\n<|im_start|>assistant\none two<|im_end|>" in prompts(server)[1]


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(PorticoError, match=r"no answer from http://127\.0\.0\.1:1"):
        run(["127.0.0.1:1"])


def test_a_key_that_is_wrong(text_model: TextModel) -> None:
    with (
        portico(text_model, replace(SETTINGS, api_keys=("secret",))) as server,
        pytest.raises(PorticoError, match="another --api-key"),
    ):
        run([server.url, "--api-key", "other"])


def test_from_the_shell(server: LiveServer) -> None:
    answering(server, "Paris")
    done = subprocess.run(
        [sys.executable, "-m", "portico.cli.main", "client", server.url, "--session-id", "9"],
        input="hi\n\nexit\n\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert MODEL in done.stdout
    assert "Paris" in done.stdout
    refused = subprocess.run(
        [sys.executable, "-m", "portico.cli.main", "client", server.url, "--sesion-id", "9"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 2
    assert "did you mean --session-id?" in refused.stderr
