"""Every code block of five servers' documents, run as it stands against a server that their own commands start.

The servers take the documents' ports, one after another. Where somebody else has a port, its examples are skipped.
"""

from __future__ import annotations

import ast
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from portico.demo import demo_folder
from tests.documents.blocks import Block, blocks
from tests.documents.entries import Answer, Document, Entry, NotRun, Parameters, Run, Start
from tests.documents.pages import DOCUMENTS, PENDING
from tests.e2e.serving import PYTHON, Server, serving

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LANGUAGES = {Start: "shell", Answer: "json", Parameters: "python"}
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


@dataclass(frozen=True, slots=True)
class Example:
    """One block of a page."""

    document: Document
    number: int
    entry: Entry
    block: Block

    @property
    def code(self) -> str:
        """What is run, Portico in the place of the page's program."""
        text = self.entry.mend(self.block.text)
        if self.block.language == "shell":
            for old, new in self.document.program.items():
                text = text.replace(old, new.format(root=ROOT))
        if isinstance(self.entry, Run):
            text = f"{text}\n{self.entry.shown}"
            if self.entry.follows:
                before = [one for one in EXAMPLES[self.document.name][: self.number] if isinstance(one.entry, Run)]
                text = f"{before[-1].code}\n{text}"
        return text

    def talks_to(self, start: Start | None) -> bool:
        """Whether it is for the server that this command starts; for none with None."""
        if isinstance(self.entry, Run):
            found = re.search(r"//[\w.]+:(\d+)", self.code)
            return start is None if found is None else start is not None and int(found[1]) == start.port
        return isinstance(self.entry, Parameters) and start is not None


def page(document: Document) -> str:
    return (HERE / f"{document.name}.txt").read_text("utf-8")


EXAMPLES = {
    document.name: [
        Example(document, number, entry, block)
        for number, (entry, block) in enumerate(zip(document.entries, blocks(page(document)), strict=False))
    ]
    for document in DOCUMENTS
}


def cases() -> Iterator[Any]:
    """Each example with the command that starts its server; those of one server in the page's order."""
    for document in DOCUMENTS:
        for start in [one for one in EXAMPLES[document.name] if isinstance(one.entry, Start)]:
            assert isinstance(start.entry, Start)
            for example in EXAMPLES[document.name]:
                if example.talks_to(start.entry):
                    reason = PENDING.get(example.entry.holds)
                    marks = [] if reason is None else [pytest.mark.xfail(strict=True, reason=reason)]
                    name = f"{document.name}-{start.number}-{example.number}"
                    yield pytest.param(start, example, marks=marks, id=name)


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


def is_free(port: int) -> bool:
    """Whether nobody listens at the port, at any address."""
    family, dual = (socket.AF_INET6, True) if socket.has_dualstack_ipv6() else (socket.AF_INET, False)
    try:
        socket.create_server(("", port), family=family, dualstack_ipv6=dual).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, folder: Path) -> Iterator[Server]:
    start: Example = request.param
    assert isinstance(start.entry, Start)
    if not is_free(start.entry.port):
        pytest.skip(f"port {start.entry.port}, which {start.document.name}.txt has, is taken by another program")
    environment = dict(ENVIRONMENT)
    if start.document.aliases:
        environment["PORTICO_SERVED_MODEL_NAME"] = " ".join(start.document.aliases)
    command = ["bash", "-c", f"exec {start.code}"]
    with serving(command=command, tail=(), folder=folder, **environment) as running:
        assert running.port == start.entry.port
        yield running


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_the_blocks_are_those_declared(document: Document) -> None:
    found = list(blocks(page(document)))
    assert len(found) == len(document.entries)
    for block, entry in zip(found, document.entries, strict=True):
        assert entry.holds in block.text
        assert block.language == LANGUAGES.get(type(entry), block.language)
    served = [example.id for example in cases()]
    for example in EXAMPLES[document.name]:
        if isinstance(example.entry, Run | Parameters):
            assert example.talks_to(None) or any(
                name.startswith(document.name) and name.endswith(f"-{example.number}") for name in served
            )


def test_what_is_not_run() -> None:
    """Programs that are not Portico's, and one that it does not have yet."""
    programs = ("pip", "docker", "$ docker", "$ ls", "sed", "lmdeploy serve gradio")
    for examples in EXAMPLES.values():
        for example in examples:
            if isinstance(example.entry, NotRun):
                command = [line for line in example.block.text.splitlines() if not line.startswith("#")][0]
                assert command.startswith(programs)
                assert example.entry.reason


@pytest.mark.parametrize(
    "example",
    [
        pytest.param(example, id=f"{name}-{example.number}")
        for name, examples in EXAMPLES.items()
        for example in examples
        if example.talks_to(None)
    ],
)
def test_command(example: Example, folder: Path) -> None:
    run(example, folder)


@pytest.mark.parametrize(("server", "example"), cases(), indirect=["server"])
def test_example(server: Server, example: Example, folder: Path) -> None:
    if isinstance(example.entry, Parameters):
        takes_parameters(server, example.entry.path, example.code)
        return
    output = run(example, folder)
    behind = EXAMPLES[example.document.name][example.number + 1 :][:1]
    for shown in behind:
        if isinstance(shown.entry, Answer):
            is_like(json.loads(output), json.loads(shown.block.text))


def run(example: Example, folder: Path) -> str:
    """Run a block and check what it says; what it wrote."""
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
    said = done.stderr if entry.status else done.stdout
    assert re.search(entry.says, said, re.DOTALL), said
    return said


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
    key = "token-abc123"
    headers = {"Authorization": f"Bearer {key}"}
    api = httpx.get(f"{server.url}/openapi.json", headers=headers).json()
    body = api["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert api["components"]["schemas"][body.rpartition("/")[2]]["properties"].keys() >= fields.keys()
    client = OpenAI(base_url=f"{server.url}/v1", api_key=key)
    model = client.models.list().data[0].id
    if path == "/v1/completions":
        said = client.completions.create(model=model, prompt="What is the capital of France?", extra_body=fields)
        assert said.choices[0].text
    else:
        chat = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "What is the capital of France?"}], extra_body=fields
        )
        assert "Paris" in str(chat.choices[0].message.content)


def defaults(declared: str) -> dict[str, Any]:
    """The fields that a block declares as a class does, and their defaults."""
    found = {}
    for statement in ast.parse(declared).body:
        assert isinstance(statement, ast.AnnAssign)
        assert isinstance(statement.target, ast.Name)
        found[statement.target.id] = default(statement.value)
    return found


def default(value: ast.expr | None) -> Any:
    assert value is not None
    if not isinstance(value, ast.Call):
        return ast.literal_eval(value)
    given = {keyword.arg: keyword.value for keyword in value.keywords}
    return ast.literal_eval(given["default"]) if "default" in given else {"list": []}[ast.unparse(given["default_factory"])]
