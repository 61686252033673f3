"""Every code block of five servers' documents, run as it stands against a server that their own commands start.

The servers take the documents' ports, one after another. Where another program has a port, its examples are skipped.
"""

from __future__ import annotations

import ast
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from portico.demo import demo_folder
from tests.documents.blocks import Block, blocks
from tests.documents.entries import Answer, Document, Entry, NotRun, Parameters, Run, Start
from tests.documents.pages import DOCUMENTS
from tests.e2e.serving import PYTHON, Server, serving

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
COMMANDS = {"python": [sys.executable, "-c"], "shell": ["bash", "-ec"]}
ENVIRONMENT = {
    "PATH": f"{Path(PYTHON).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONIOENCODING": "utf-8",
    "OMP_NUM_THREADS": "1",
    "PORTICO_KV_CACHE_MEMORY": "64MiB",
    "PORTICO_THREADS": "1",
    "PORTICO_SEED": "1",
}
"""What the commands leave open; the documents' requests have no seed, and get theirs in turn."""
KEY = "token-abc123"
NOT_OURS = ("pip ", "docker ", "sed ", "ls ", "lmdeploy serve gradio")
"""Programs of others, and one that Portico does not have yet."""


@dataclass(frozen=True, slots=True)
class Example:
    """One block of a page, and what it is."""

    document: Document
    number: int
    entry: Entry
    block: Block

    @property
    def code(self) -> str:
        """What is run, with Portico in the place of the page's program."""
        text = self.entry.mend(self.block.text)
        if self.block.language == "shell":
            for old, new in self.document.program.items():
                text = text.replace(old, new.format(root=ROOT))
        if isinstance(self.entry, Run) and self.entry.follows:
            before = [one for one in EXAMPLES[self.document.name][: self.number] if isinstance(one.entry, Run)]
            text = f"{before[-1].code}\n{text}\n{self.entry.shown}"
        return text

    @property
    def port(self) -> int | None:
        """That of the server it talks to, if it talks to one."""
        if isinstance(self.entry, Parameters):
            return next(entry.port for entry in self.document.entries if isinstance(entry, Start))
        found = re.search(r"//[\w.]+:(\d+)", self.code) if isinstance(self.entry, Run) else None
        return None if found is None else int(found[1])


def page(document: Document) -> str:
    return (HERE / f"{document.name}.txt").read_text("utf-8")


EXAMPLES = {
    document.name: [
        Example(document, number, entry, block)
        for number, (entry, block) in enumerate(zip(document.entries, blocks(page(document)), strict=False))
    ]
    for document in DOCUMENTS
}
ALONE = [
    example
    for examples in EXAMPLES.values()
    for example in examples
    if isinstance(example.entry, Run) and example.port is None
]
SERVED = [
    (start, example)
    for examples in EXAMPLES.values()
    for start in examples
    if isinstance(start.entry, Start)
    for example in examples
    if example.port == start.entry.port
]
"""With the command that starts their server; those of one server in the page's order."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the documents' models are: each is the demo model."""
    folder = tmp_path_factory.mktemp("documents")
    for document in DOCUMENTS:
        for name in document.models:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).symlink_to(demo_folder(), target_is_directory=True)
    template = (demo_folder() / "chat_template.jinja").read_text("utf-8")
    (folder / "path-to-chat-template.jinja").write_text(template, "utf-8")
    return folder


@pytest.fixture(scope="module")
def turn() -> Iterator[None]:
    """These tests run elsewhere on the machine, which need the same ports, have ended."""
    with suppress(PermissionError), (Path(tempfile.gettempdir()) / "portico-documents.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield
        return
    yield


def is_free(port: int) -> bool:
    """Whether nobody listens at the port, at any address."""
    dual = socket.has_dualstack_ipv6()
    try:
        socket.create_server(
            ("", port), family=socket.AF_INET6 if dual else socket.AF_INET, dualstack_ipv6=dual
        ).close()
    except OSError:
        return False
    return True


class Servers:
    """What the documents' commands start, at the documents' ports, one at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: Example | None = None
        self._running = ExitStack()
        self._server: Server | None = None

    def of(self, start: Example) -> Server:
        """The server of this command; what ran before it ends."""
        if self._server is None or start is not self._started:
            self.end()
            self._server, self._started = self._running.enter_context(started(start, self._folder)), start
        return self._server

    def end(self) -> None:
        self._server = None
        self._running.close()


@contextmanager
def started(start: Example, folder: Path) -> Iterator[Server]:
    assert isinstance(start.entry, Start)
    if not is_free(start.entry.port):
        pytest.skip(f"another program has port {start.entry.port}, which {start.document.name}.txt is written for")
    environment = dict(ENVIRONMENT)
    if start.document.aliases:
        environment["PORTICO_SERVED_MODEL_NAME"] = " ".join(start.document.aliases)
    with serving(command=["bash", "-c", f"exec {start.code}"], tail=(), folder=folder, **environment) as running:
        assert running.port == start.entry.port
        yield running


@pytest.fixture(scope="module")
def servers(folder: Path, turn: None) -> Iterator[Servers]:
    running = Servers(folder)
    yield running
    running.end()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_each_block_is_what_it_is_declared_to_be(document: Document) -> None:
    found = list(blocks(page(document)))
    assert len(found) == len(document.entries)
    for block, entry in zip(found, document.entries, strict=True):
        assert entry.holds in block.text
        assert (block.language == "json") is isinstance(entry, Answer)
    examples = EXAMPLES[document.name]
    run = [*ALONE, *(example for _, example in SERVED)]
    assert all(example in run for example in examples if isinstance(example.entry, Run | Parameters))
    starts = [start for start, _ in SERVED]
    assert all(example in starts for example in examples if isinstance(example.entry, Start))


def test_what_is_not_run_is_not_ours() -> None:
    for examples in EXAMPLES.values():
        for example in examples:
            if isinstance(example.entry, NotRun):
                command = next(line for line in example.block.text.splitlines() if not line.startswith("#"))
                assert command.removeprefix("$ ").startswith(NOT_OURS)
                assert example.entry.reason


@pytest.mark.parametrize("example", ALONE, ids=lambda example: f"{example.document.name}-{example.number}")
def test_command(example: Example, folder: Path) -> None:
    output_of(example, folder)


@pytest.mark.parametrize(
    ("start", "example"),
    [pytest.param(*pair, id=f"{pair[0].document.name}-{pair[0].number}-{pair[1].number}") for pair in SERVED],
)
def test_example(servers: Servers, start: Example, example: Example, folder: Path) -> None:
    server = servers.of(start)
    if isinstance(example.entry, Parameters):
        takes_parameters(server, example.entry.path, example.code)
        return
    output = output_of(example, folder)
    for shown in EXAMPLES[example.document.name][example.number + 1 :][:1]:
        if isinstance(shown.entry, Answer):
            is_like(json.loads(output), json.loads(shown.block.text))


def output_of(example: Example, folder: Path) -> str:
    """Run a block and check what it says: on standard output, or on standard error if it is to fail."""
    entry = example.entry
    assert isinstance(entry, Run)
    done = subprocess.run(
        [*COMMANDS[example.block.language], example.code],
        input=entry.typed,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env=os.environ | ENVIRONMENT,
        check=False,
    )
    assert done.returncode == entry.status, done.stderr
    output = done.stderr if entry.status else done.stdout
    assert re.search(entry.says, output, re.DOTALL), output
    return output


def is_like(answer: Any, shown: Any, name: str = "") -> None:
    """The answer has every field that is shown, of the same type; what names a kind of thing is the same text."""
    assert type(answer) is type(shown), name
    if isinstance(shown, dict):
        assert answer.keys() >= shown.keys()
        for key, value in shown.items():
            is_like(answer[key], value, key)
    elif isinstance(shown, list):
        assert len(answer) == len(shown), name
        for one, other in zip(answer, shown, strict=True):
            is_like(one, other, name)
    elif name == "id":
        assert answer.partition("-")[0] == shown.partition("-")[0]
    elif name in ("object", "model", "role"):
        assert answer == shown


def takes_parameters(server: Server, path: str, declared: str) -> None:
    """The server names each field as its own, and answers a request that has them all as the document's defaults."""
    fields = defaults(declared)
    api = httpx.get(f"{server.url}/openapi.json", headers={"Authorization": f"Bearer {KEY}"}).json()
    body = api["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert api["components"]["schemas"][body.rpartition("/")[2]]["properties"].keys() >= fields.keys()
    client = OpenAI(base_url=f"{server.url}/v1", api_key=KEY)
    model, question = client.models.list().data[0].id, "What is the capital of France?"
    if path == "/v1/completions":
        assert client.completions.create(model=model, prompt=question, extra_body=fields).choices[0].text
    else:
        chat = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": question}], extra_body=fields
        )
        assert "Paris" in str(chat.choices[0].message.content)


def defaults(declared: str) -> dict[str, Any]:
    """The fields that a block declares as a class does, and their defaults."""
    found = {}
    for statement in ast.parse(declared).body:
        assert isinstance(statement, ast.AnnAssign)
        assert statement.value is not None
        found[ast.unparse(statement.target)] = default(statement.value)
    return found


def default(value: ast.expr) -> Any:
    """What an attribute is set to, or what `Field(…)` says of it."""
    if not isinstance(value, ast.Call):
        return ast.literal_eval(value)
    given = {keyword.arg: keyword.value for keyword in value.keywords}
    if "default" in given:
        return ast.literal_eval(given["default"])
    assert ast.unparse(given["default_factory"]) == "list"
    return []
