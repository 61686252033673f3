"""Where `portico serve` keeps conversations."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico.cli.serve import _open_sessions
from portico.config.options.sessions import SessionOptions
from portico.config.sessions import default_session_store
from portico.errors import ConfigError
from portico.server.sessions.history import History, Key

KEY = Key("owner", "1")


async def test_by_default_in_a_file_that_outlives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTICO_DATA_DIR", str(tmp_path / "data"))
    for before, after in ((None, 5), (5, 6)):
        sessions = await _open_sessions(SessionOptions())
        known = await sessions.read(KEY)
        assert (known and known.tokens) == before
        await sessions.save(KEY, History(tokens=after))
        await sessions.close()
    assert (tmp_path / "data" / "sessions.sqlite3").is_file()


async def test_the_default_gives_way_to_the_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PORTICO_DATA_DIR", "/proc/nowhere")
    sessions = await _open_sessions(SessionOptions())
    await sessions.save(KEY, History(tokens=5))
    assert await sessions.read(KEY) == History(tokens=5)
    assert "They end with this server." in caplog.text


async def test_what_was_asked_for_does_not() -> None:
    with pytest.raises(ConfigError, match="cannot be kept in /proc/nowhere/s"):
        await _open_sessions(SessionOptions(session_store="sqlite:////proc/nowhere/s"))


def test_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_session_store({"PORTICO_DATA_DIR": "/a"}) == "sqlite:////a/sessions.sqlite3"
    assert default_session_store({"XDG_DATA_HOME": "/b"}) == "sqlite:////b/portico/sessions.sqlite3"
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert default_session_store({}) == f"sqlite:///{tmp_path}/.local/share/portico/sessions.sqlite3"

    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    assert default_session_store({}) == "memory:"
