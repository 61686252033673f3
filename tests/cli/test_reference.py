"""docs/flags.md is what the declarations say, and docs/migrate.md tells of flags that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from portico.cli.reference import page
from portico.cli.serve import make_parser
from portico.config.serve import serve_options

FILE = Path(__file__).parents[2] / "docs" / "flags.md"


def test_the_page_is_true() -> None:
    assert FILE.read_text(encoding="utf-8") == page(), "make reference writes it anew"


def test_every_flag_is_on_it() -> None:
    text = page()
    for option in serve_options():
        for flag in option.flags:
            assert f"`{flag}`" in text


def test_what_the_page_for_movers_tells_of_is_there() -> None:
    text = (FILE.parent / "migrate.md").read_text(encoding="utf-8")
    parser = make_parser()
    known = {flag for action in parser._actions for flag in action.option_strings}
    assert {flag.replace("_", "-") for flag in re.findall(r"(?<![\w-])--[a-z][\w-]+", text)} <= known
    commands = re.findall(r"^portico +serve (?!api_server)(.*)$", text, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        parser.parse_args(shlex.split(command))
