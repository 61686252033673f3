"""Where keys are read from, and which cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico.cli.serve import read_options
from portico.config.keys import api_keys
from portico.errors import ConfigError


def test_flags_file_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    file.write_text("# of the team\n  three \n\nfour\none\n")
    http = read_options(["--api-key", "one", "--api-keys", "two", "--api-key-file", str(file)]).options.http
    assert http.keys({}) == ("one", "two", "three", "four")
    assert http.keys({"VLLM_API_KEY": "five"}) == ("one", "two", "three", "four")
    monkeypatch.setenv("PORTICO_API_KEY", "six seven")
    monkeypatch.setenv("PORTICO_API_KEY_FILE", str(file))
    assert read_options([]).options.http.keys({}) == ("six", "seven", "three", "four", "one")


def test_vllms_variable_where_nothing_else_is_said() -> None:
    assert api_keys((), None, {"VLLM_API_KEY": "five"}) == ("five",)
    assert api_keys((), None, {"VLLM_API_KEY": ""}) == ()
    assert api_keys((), None, {}) == ()


@pytest.mark.parametrize("key", ["", " ", "secret ", "secret\n", "sec\0ret"])
def test_a_key_that_nobody_could_send_is_refused_and_not_quoted(key: str) -> None:
    with pytest.raises(ConfigError, match="API key") as caught:
        api_keys(("right", key), None, {})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "no key"), (b"# none\n\n", "no key"), (b"\xff\xfe", "UTF-8"), (None, "No such file")]
)
def test_a_file_that_would_let_everybody_in_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        api_keys(("right",), str(file), {})
    assert str(file) in str(caught.value)
