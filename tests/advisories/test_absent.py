"""Causes of published advisories that cannot exist here: what they need is absent, and these tests keep it so."""

from __future__ import annotations

import ast
import json
import socket
import stat
import sys
from pathlib import Path

import pytest

import portico
from portico.config.engine import EngineConfig
from portico.engine.link import EngineProcess
from portico.errors import CheckpointError
from portico.weights.places import resolve_model
from portico.weights.safetensors import Checkpoint
from tests.server.harness import LiveServer

SOURCES = sorted(Path(portico.__file__).parent.rglob("*.py"))
CODE_FROM_DATA = {"pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
RUN_TEXT = {"eval", "exec", "compile", "__import__"}


def calls(tree: ast.AST) -> list[str]:
    return [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_nothing_of_ours_makes_objects_or_code_of_data(source: Path) -> None:
    """Deserialisation and eval.

    CVE-2024-9052, CVE-2024-9053, CVE-2024-11041, CVE-2025-24357, CVE-2025-29783, CVE-2025-30165, CVE-2025-32444,
    CVE-2025-47277, CVE-2025-62164, CVE-2025-9141, CVE-2025-10164, CVE-2025-32434, CVE-2025-3162, CVE-2025-67729,
    CVE-2026-3059, CVE-2026-3060, CVE-2026-3989, CVE-2026-7304, CVE-2026-15969, CVE-2026-15976, CVE-2026-24747,
    CVE-2026-26220, CVE-2026-41486, CVE-2026-57516, CVE-2026-86793, CVE-2026-93034, GHSA-pgr7-mhp5-fgjp.
    """
    tree = ast.parse(source.read_text(encoding="utf-8"))
    imported = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & CODE_FROM_DATA
    called = set(calls(tree))
    assert not called & RUN_TEXT
    assert not any(name in ("torch.load", "np.load", "numpy.load", "yaml.load", "recv_pyobj") for name in called)
    assert not any(name.endswith((".recv_pyobj", ".send_pyobj", "os.system")) for name in called)


@pytest.mark.parametrize(
    "source",
    [
        path
        for path in SOURCES
        if path.parent.name in ("server", "sessions", "doors", "openai") and path.name != "openapi.py"
    ],
    ids=lambda p: p.name,
)
def test_what_a_client_sends_is_never_checked_by_assert(source: Path) -> None:
    """Checks that are gone under `python -O`: CVE-2026-41523."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    tests = [ast.unparse(node.test) for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert all(
        test.startswith("isinstance(") or " is not None" in test or test.endswith("is None") for test in tests
    ), tests


def test_weights_come_from_safetensors_alone(tmp_path: Path) -> None:
    """torch.load of .bin and .pt: CVE-2025-24357, CVE-2025-3162, CVE-2025-67729, CVE-2025-32434, CVE-2026-24747."""
    for name in ("pytorch_model.bin", "model.pt", "consolidated.00.pth"):
        (tmp_path / name).write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(CheckpointError, match="safetensors"):
        Checkpoint(tmp_path)


def test_code_beside_a_checkpoint_is_never_looked_at(tmp_path: Path) -> None:
    """auto_map and trust_remote_code.

    CVE-2025-66448, CVE-2026-22807, CVE-2026-27893, CVE-2026-46432, CVE-2026-46517, CVE-2026-47155, CVE-2026-114053.
    """
    from portico.model.config import read_config
    from portico.text.model import TextModel
    from tests.text.folders import write_folder

    folder = write_folder(tmp_path)
    evil = folder / "modeling_evil.py"
    evil.write_text("raise SystemExit('ran')", encoding="utf-8")
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    auto = {"AutoConfig": "modeling_evil.Evil", "AutoTokenizer": ["modeling_evil.Evil", None]}
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "auto_map": auto}), encoding="utf-8")
    config = {"architectures": ["Evil"], "model_type": "evil", "auto_map": auto}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"evil|Evil"):
        read_config(folder)
    TextModel.load(folder)
    assert "modeling_evil" not in sys.modules


def test_remote_code_cannot_be_trusted() -> None:
    """The flag has no effect, and that is said: CVE-2025-66448, CVE-2026-27893."""
    from portico.cli.serve import read_options

    assert any("--trust-remote-code" in sentence for sentence in read_options(["--trust-remote-code"]).without_effect)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "x/y/z", ".hidden/x", "a\x00b", "https://huggingface.co/../x"])
def test_names_that_leave_the_models_folder_are_no_names_of_the_hub(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Path traversal by names.

    CVE-2024-37032, CVE-2024-39719, CVE-2024-39722, CVE-2023-6020, CVE-2023-6021, CVE-2026-32981.

    Only who starts the server names a folder; what is no folder must have the form owner/name to be fetched.
    """
    monkeypatch.chdir(tmp_path)
    with pytest.raises((CheckpointError, ValueError)):
        resolve_model(name)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "org/tiny/../../x", "\x00", "x" * 10_000])
def test_a_requests_model_is_compared_and_never_opened(
    server: LiveServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same by requests: CVE-2024-37032, CVE-2024-39719, CVE-2024-45436, CVE-2024-7773."""
    with server.http() as http:
        for path, rest in (
            ("/v1/completions", {"prompt": "x"}),
            ("/v1/chat/completions", {"messages": "x"}),
            ("/tokenize", {"prompt": "x"}),
        ):
            assert http.post(path, json={"model": name, **rest}).status_code == 404
        assert http.get(f"/v1/models/{name[:100]!r}").status_code == 404
        for path in ("/docs/../../etc/passwd", "/static/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd"):
            assert http.get(path).status_code in (404, 200)
            assert "root:" not in http.get(path).text


def test_a_wish_for_media_opens_no_connection(server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Server-side requests, and decoders of media.

    CVE-2025-6242, CVE-2026-24779, CVE-2026-25960, CVE-2026-33626, CVE-2026-63764, CVE-2023-48023, CVE-2026-0599,
    CVE-2025-46722, CVE-2025-46560, CVE-2025-62372, CVE-2026-22773, CVE-2026-22778, CVE-2026-54233, CVE-2026-55646,
    CVE-2026-100650, CVE-2026-105758, CVE-2026-105760, CVE-2026-109226, CVE-2026-109229, CVE-2026-115915,
    PYSEC-2026-2303.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/x.png"
    parts = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": url},
        {"type": "input_image", "image_url": url},
        {"type": "video_url", "video_url": {"url": url}},
        {"type": "audio_url", "audio_url": {"url": url}},
        {"type": "file", "file": {"file_url": url}},
    ]
    with server.http() as http:
        for part in parts:
            answer = http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": [part]}]})
            assert answer.status_code == 400
            assert part["type"] in answer.json()["error"]["message"]
        for path, body in (
            ("/generate", {"prompt": "x", "image_data": [url]}),
            ("/v1/completions", {"prompt": "x", "prompt_embeds": "AAAA"}),
            ("/v1/completions", {"prompt": "x", "mm_processor_kwargs": {"code_revision": "x"}}),
            ("/v1/completions", {"prompt": "x", "logits_processors": ["os.system"]}),
            ("/v1/completions", {"prompt": "x", "lora_path": url}),
        ):
            assert http.post(path, json=body).status_code == 400
    with pytest.raises(BlockingIOError):
        listener.accept()
    listener.close()


def test_engine_and_front_meet_in_a_private_folder(tmp_path: Path) -> None:
    """Sockets that others reach.

    CVE-2025-30202, CVE-2025-47277, CVE-2024-42477, CVE-2024-42478, CVE-2024-42479, CVE-2026-34159, CVE-2026-118375.
    """
    process = EngineProcess(EngineConfig(model_path=str(tmp_path)), module="portico.errors")
    try:
        assert process.endpoint.startswith("ipc://")
        assert stat.S_IMODE(process.folder.stat().st_mode) == 0o700
    finally:
        process.close()


@pytest.mark.parametrize(
    "path", ["/update_weights", "/update_weights_from_disk", "/update_weights_from_tensor", "/load_lora_adapter",
             "/collective_rpc", "/api/jobs/", "/api/pull", "/api/push", "/slots", "/sleep", "/v1/load_lora_adapter"],
)  # fmt: skip
def test_there_are_no_routes_that_change_the_server(server: LiveServer, path: str) -> None:
    """Management by whoever comes.

    CVE-2023-48022, CVE-2026-15976, GO-2025-4251, CVE-2026-15969, CVE-2025-10164, CVE-2026-43629, CVE-2025-51471.
    """
    with server.http() as http:
        for method in ("GET", "POST", "DELETE"):
            assert http.request(method, path, content=b"{}").status_code in (404, 405)
