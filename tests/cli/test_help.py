"""What `portico serve --help` looks like."""

from __future__ import annotations

import re

import pytest

from portico.cli.serve import make_parser
from portico.config.serve import serve_options


@pytest.mark.parametrize("columns", [80, 120])
def test_it_fits_and_names_everything(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = make_parser().format_help()
    assert max(map(len, text.splitlines())) < columns
    for option in serve_options():
        for flag in option.flags:
            assert re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", text), flag


def test_groups_by_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = make_parser().format_help()
    groups = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    assert groups == [
        "positional arguments", "options", "server", "pages of other origins (CORS)", "HTTPS", "logging", "model",
        "prompts and answers", "engine", "memory for keys and values", "only in part", "accepted, without effect here",
    ]  # fmt: skip
    assert "  --port, --server-port PORT\n" in text
    assert "(default: 8000)" in " ".join(text.split())
