"""What the site's strict build would refuse, without building it; and what it does not look at."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("**/*.md"))]
PLAIN = re.sub(r"!!python\S+ ", "", (ROOT / "properdocs.yml").read_text("utf-8"))
SITE = yaml.safe_load(PLAIN)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def pages_of(navigation: Any) -> list[str]:
    if isinstance(navigation, str):
        return [navigation]
    parts = navigation.values() if isinstance(navigation, dict) else navigation
    return [page for part in parts for page in pages_of(part)]


def test_each_page_has_one_place_in_the_navigation() -> None:
    assert sorted(pages_of(SITE["nav"])) == sorted(str(page.relative_to(ROOT / "docs")) for page in PAGES[2:])


def test_nothing_is_fetched_from_elsewhere() -> None:
    assert SITE["theme"]["font"] is False
    assert SITE["plugins"] == ["search"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if page.parent.name == "docs":
            assert target.is_relative_to(ROOT / "docs"), f"{link} is not on the site"
        if anchor:
            assert anchor in anchors(target), link


def prose(page: Path) -> str:
    """A page without its blocks and what stands in backticks."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(`+).+?\1", "code", text)


def anchors(page: Path) -> set[str]:
    """Those of its headings, as the site and code hosts make them: letters, digits and hyphens."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


ROOMS = (
    "src|tests|benchmarks|scripts|deploy|training|server|text|engine|run|model|kernels|decode|protocol|weights|"
    "config|cli"
)
FOLDERS = (ROOT, ROOT / "src" / "portico", ROOT / "src" / "portico" / "server")
OF_OTHERS = ("performance.md", "evaluation.md", "bench.md", "chat.md", "web.md")
"""Pages that tell of other programs' and other verbs' flags."""


def spoken_of(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", page.read_text("utf-8"))


@pytest.mark.parametrize("page", PAGES[2:], ids=lambda page: page.name)
def test_files_that_are_spoken_of_are_there(page: Path) -> None:
    for code in spoken_of(page):
        for name in re.findall(rf"^((?:{ROOMS})/[\w./-]+)", code):
            assert any((folder / name).exists() for folder in FOLDERS), name


@pytest.mark.parametrize("page", PAGES[2:], ids=lambda page: page.name)
def test_flags_that_are_spoken_of_are_there(page: Path) -> None:
    known = {flag for code in spoken_of(ROOT / "docs" / "flags.md") for flag in re.findall(r"^--[\w-]+", code)}
    for code in [] if page.name in OF_OTHERS else spoken_of(page):
        if code.startswith("--"):
            assert code.split()[0].partition("=")[0].replace("_", "-") in known | {
                "--help",
                "--config",
                "--default-non-nullable",
            }, code
