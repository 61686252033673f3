"""Ways of starting the server, each with what its own server does unless told otherwise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from portico.cli.serve import FORMS, cautions, is_loopback, read_options

ROOT = Path(__file__).parents[2]
MODULES = ["portico.rest", "portico.serve.server", "portico.entrypoints.openai.api_server"]


def said(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)


@pytest.mark.parametrize(
    "command",
    [*(["-m", module] for module in MODULES), ["scripts/openai_server_demo/openai_api_server_vllm.py"],
     ["-m", "portico", "serve"], ["-m", "portico", "serve", "api_server"]],
    ids=" ".join,
)  # fmt: skip
def test_each_is_the_same_command_line(command: list[str]) -> None:
    refused = said(*command, "--prot", "1")
    assert refused.returncode == 2
    assert "did you mean --port?" in refused.stderr


def test_what_is_not_there_says_so() -> None:
    for word in ("proxy",):
        refused = said("-m", "portico", "serve", word, "http://localhost:23333")
        assert refused.returncode == 2
        assert "not there yet" in refused.stderr


def test_lmdeploys_way_has_lmdeploys_address() -> None:
    form = FORMS["api_server"]
    options = read_options(["m"], form).options
    assert (options.http.host, options.http.port, options.model.model) == ("0.0.0.0", 23333, "m")
    assert read_options(["m", "--server-port", "1"], form).options.http.port == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], []),
        (["--host", "0.0.0.0"], ["Everybody who can reach 0.0.0.0"]),
        (["--host", "0.0.0.0", "--api-key", "secret"], []),
        (["--allow-credentials"], ["--allow-credentials has no effect"]),
        (["--allow-credentials", "--allowed-origins", '["https://a.example"]'], []),
        (["--ssl-ca-certs", "FILE"], ["--ssl-ca-certs has no effect"]),
        (["--ssl-ca-certs", "FILE", "--ssl-cert-reqs", "2"], []),
    ],
)
def test_what_is_seldom_meant_is_said(flags: list[str], words: list[str], tmp_path: Path) -> None:
    file = tmp_path / "any.pem"
    file.write_text("")
    tls = ["--ssl-keyfile", "FILE", "--ssl-certfile", "FILE"] if "--ssl-ca-certs" in flags else []
    options = read_options([flag.replace("FILE", str(file)) for flag in (*flags, *tls)]).options
    said = list(cautions(options.http, options.tls({})))
    assert len(said) == len(words)
    for sentence, word in zip(said, words, strict=True):
        assert sentence.startswith(word)


def test_a_help_needs_neither_torch_nor_yaml_nor_a_web_server() -> None:
    code = (
        "import sys\nfrom portico.cli.main import main\ntry:\n    main(['serve', '--help'])\nexcept SystemExit: pass\n"
        "print([name for name in ('torch', 'yaml', 'fastapi', 'uvicorn', 'pydantic') if name in sys.modules])"
    )
    assert said("-c", code).stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("192.168.1.5", False), ("myhost", False), ("", False)],
)  # fmt: skip
def test_who_is_alone_on_this_machine(host: str, alone: bool) -> None:
    assert is_loopback(host) == alone
