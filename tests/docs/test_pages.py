"""Every code block of the README and of docs/: it is run as it stands, or a comment before it says why not.

A block that starts a server is that of the blocks behind it on the page; the others talk to one that all pages share.
Where no block talks to it, its options are read and its model is looked for, and no more.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from portico.cli.serve import locate, read_options
from portico.demo import demo_folder
from tests.docs.blocks import RUN, SERVES, SHOWN, blocks, commands, is_like
from tests.e2e.serving import PYTHON, Server, serving

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
MODELS = ("path/to/model", "path/to/Qwen3-0.6B", "Qwen/Qwen3-0.6B", "MODEL", "vicuna-v1-7b", "path/to/base_model")
MODELS += ("internlm/internlm2_5-7b-chat", "NousResearch/Meta-Llama-3-8B-Instruct")
"""Names by which the pages ask for a reader's own model: each is the bundled one here."""
ENVIRONMENT = {
    "PATH": f"{Path(PYTHON).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONIOENCODING": "utf-8",
    "OMP_NUM_THREADS": "1",
    "KEY": "a-key-of-the-pages",
    "PORTICO_KV_CACHE_MEMORY": "64MiB",
    "COLUMNS": "120",
}
ADDRESS = re.compile(r"\b(127\.0\.0\.1|localhost):(8000|23333)\b")
"""Where the pages' servers listen."""
COMMANDS = {"python": [sys.executable, "-c"], "sh": ["bash", "-euo", "pipefail", "-c"]}
OF_PAGES = {str(page.relative_to(ROOT)): list(blocks(page.read_text("utf-8"))) for page in PAGES}
RUNNING = [
    pytest.param(page, number, id=f"{page}:{block.line}")
    for page, found in OF_PAGES.items()
    for number, block in enumerate(found)
    if block.language in RUN and not block.not_run and not block.title
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the blocks run: the models that they name are there, and the parts of the repository that they read."""
    folder = tmp_path_factory.mktemp("pages")
    for name in MODELS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(demo_folder(), target_is_directory=True)
    (folder / "scripts").symlink_to(ROOT / "scripts", target_is_directory=True)
    for block in (block for found in OF_PAGES.values() for block in found if block.title):
        (folder / block.title).write_text(block.code, "utf-8")
    return folder


class Servers:
    """What the pages' commands start, each once; they run until the tests of this file have ended."""

    def __init__(self, folder: Path, running: ExitStack) -> None:
        self._folder = folder
        self._running = running
        self._started: dict[str, Server] = {}

    def of(self, command: str) -> Server:
        if command not in self._started:
            line = ["bash", "-c", f'exec {command.removeprefix(".venv/bin/")} "$@"', "bash"]
            server = serving(command=line, folder=self._folder, **ENVIRONMENT)
            self._started[command] = self._running.enter_context(server)
        return self._started[command]


@pytest.fixture(scope="module")
def servers(folder: Path) -> Iterator[Servers]:
    with ExitStack() as running:
        yield Servers(folder, running)


@pytest.mark.parametrize("page", OF_PAGES)
def test_each_block_is_run_or_says_why_not(page: str) -> None:
    for block in OF_PAGES[page]:
        where = f"{page}:{block.line}"
        assert block.language in RUN + SHOWN, (
            f"{where}: a block in {block.language!r}; {RUN} are run, {SHOWN} are shown"
        )
        if block.language in SHOWN:
            first = block.code.lstrip("$ ")
            assert not re.match(r"(portico|curl|python3?|pip|make|docker) ", first), f"{where}: a command, not in sh"
        if block.language not in (*RUN, "text") and not block.not_run:
            {"json": json.loads, "yaml": yaml.safe_load, "toml": tomllib.loads}[block.language](block.code)


@pytest.mark.parametrize("page", OF_PAGES)
def test_the_targets_of_make_are_there(page: str) -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    text = (ROOT / page).read_text("utf-8")
    named = re.findall(r"`make ([a-z][\w-]*)", text)
    for block in OF_PAGES[page]:
        named += re.findall(r"^make ([a-z][\w-]*)", block.code, re.MULTILINE)
    assert set(named) <= targets


@pytest.mark.parametrize(("page", "number"), RUNNING)
def test_block(servers: Servers, folder: Path, page: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    block = OF_PAGES[page][number]
    if block.servers:
        assert commands(block.code) == block.servers, (
            "what talks to a server stands in a block behind that of its start"
        )
        if block.shows or is_asked(page, number):
            assert is_like([servers.of(command) for command in block.servers][-1].banner, block.shows)
            return
        monkeypatch.chdir(folder)
        for command in block.servers:
            options = read_options(arguments_of(command)).options
            assert (locate(options, options.model.model) / "config.json").exists()
        return
    output = output_of(servers, folder, page, number)
    assert is_like(output, block.shows), output


def is_asked(page: str, number: int) -> bool:
    """Whether a block talks to the server that this one starts."""
    for block in OF_PAGES[page][number + 1 :]:
        if block.servers:
            return False
        if block.language in RUN and not block.not_run and ADDRESS.search(block.code):
            return True
    return False


def arguments_of(command: str) -> list[str]:
    """What stands behind the words that begin a server."""
    started = SERVES.match(command)
    assert started is not None
    words = shlex.split(command[started.end() :].replace("$KEY", ENVIRONMENT["KEY"]))
    return words[1:] if words[:1] == ["api_server"] or command.startswith("python scripts") else words


def output_of(servers: Servers, folder: Path, page: str, number: int) -> str:
    """What a block prints, standard error included."""
    block = OF_PAGES[page][number]
    code = block.code.replace(".venv/bin/", "")
    if ADDRESS.search(code):
        code = ADDRESS.sub(rf"\1:{server_of(servers, page, number).port}", code)
    done = subprocess.run(
        [*COMMANDS[block.language], code],
        input=block.typed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        cwd=folder,
        env=os.environ | ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    if "curl" in code:
        assert not re.search(r'"error":\s*\{', done.stdout), done.stdout
    is_silent = re.search(r"> \S+$", code.strip()) or all(line.startswith("export ") for line in commands(code))
    assert done.stdout.strip() or is_silent, "it prints nothing"
    return done.stdout


def server_of(servers: Servers, page: str, number: int) -> Server:
    """The one that was started last on the page before this block, else one that all pages share."""
    started = [command for block in OF_PAGES[page][:number] for command in block.servers]
    return servers.of(started[-1] if started else "portico serve")
