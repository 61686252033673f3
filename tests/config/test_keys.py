"""Where keys are read from, and which cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico.cli.serve import read_options
from portico.config.keys import KeyTerms, api_keys
from portico.config.rates import RateLimits
from portico.errors import ConfigError


def test_flags_file_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys"
    file.write_text("# of the team\n  three \n\nfour\none\n")
    http = read_options(["--api-key", "one", "--api-keys", "two", "--api-key-file", str(file)]).options.http
    assert [*http.keys({})] == ["one", "two", "three", "four"]
    assert [*http.keys({"VLLM_API_KEY": "five"})] == ["one", "two", "three", "four"]
    monkeypatch.setenv("PORTICO_API_KEY", "six seven")
    monkeypatch.setenv("PORTICO_API_KEY_FILE", str(file))
    assert [*read_options([]).options.http.keys({})] == ["six", "seven", "three", "four", "one"]


def test_vllms_variable_where_nothing_else_is_said() -> None:
    assert [*api_keys((), None, {"VLLM_API_KEY": "five"})] == ["five"]
    assert api_keys((), None, {"VLLM_API_KEY": ""}) == {}
    assert api_keys((), None, {}) == {}


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


def test_terms_of_a_key(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("one\ntwo request-timeout=2.5 rate-limit-tokens=1000\nthree priority --rate_limit_requests=7\n")
    assert api_keys(("zero",), str(file), {}, ["one"]) == {
        "zero": KeyTerms(),
        "one": KeyTerms(outranks=True),
        "two": KeyTerms(2.5, RateLimits(tokens=1000)),
        "three": KeyTerms(None, RateLimits(requests=7), outranks=True),
    }


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ("request-timeout=soon", "line 2: request-timeout is 'soon'; it must be a number of seconds, 0 or more"),
        ("rate-limit-tokens=0", "line 2: rate-limit-tokens is '0'; it must be a whole number of at least 1"),
        ("secret", "line 2: behind the key may stand priority, request-timeout=SECONDS"),
        ("priority=1", "line 2: behind the key may stand"),
    ],
)
def test_terms_that_cannot_be_are_refused_by_their_line(tmp_path: Path, terms: str, words: str) -> None:
    file = tmp_path / "keys"
    file.write_text(f"one\ntwo {terms}\n")
    with pytest.raises(ConfigError) as caught:
        api_keys((), str(file), {})
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
