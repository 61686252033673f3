"""Names of models: folders, names under dist/ and the models folder, and what is said of those that are nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico.errors import CheckpointError
from portico.weights.hub import Hub
from portico.weights.places import resolve_model


def checkpoint(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("here", "here"),
        ("./dist/Llama-2-7b-chat-hf-q4f16_1-MLC/", "dist/Llama-2-7b-chat-hf-q4f16_1-MLC"),
        ("Llama-2-7b-chat-hf-q4f16_1", "dist/Llama-2-7b-chat-hf-q4f16_1-MLC"),
        ("Llama-2-7b-chat-hf-q4f16_1", "dist/Llama-2-7b-chat-hf-q4f16_1/params"),
        ("vicuna-v1-7b", "dist/prebuilt/vicuna-v1-7b"),
        ("vicuna-v1-7b", "dist/prebuilt/mlc-chat-vicuna-v1-7b"),
        ("vicuna-v1-7b", "dist/vicuna-v1-7b"),
        ("mine", "models/mine"),
        ("internlm/internlm2_5-7b-chat", "models/internlm/internlm2_5-7b-chat"),
    ],
)
def test_where_names_are_found(name: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = checkpoint(tmp_path / folder)
    assert resolve_model(name).resolve() == wanted


def test_the_models_folder_may_be_elsewhere(tmp_path: Path) -> None:
    wanted = checkpoint(tmp_path / "shelf" / "mine")
    assert resolve_model("mine", models_dir=str(tmp_path / "shelf")) == wanted


def test_a_revision_is_the_hubs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    resolve_model(str(checkpoint(tmp_path / "m")), hub=Hub(revision="v2"))
    assert "its revision cannot be chosen, and v2 is not" in caplog.text


def test_a_checkpoint_wins_over_a_folder_of_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "name").mkdir()
    wanted = checkpoint(tmp_path / "dist" / "name")
    assert resolve_model("name").resolve() == wanted


def test_a_name_that_is_nowhere_tells_all_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        resolve_model("gone")
    for place in ("gone", "dist/gone", "dist/gone-MLC", "dist/prebuilt/gone", "dist/gone/params", "models/gone"):
        assert f"{place}," in f"{caught.value},".replace(".", ",")
    with pytest.raises(CheckpointError, match=r"There is no folder /gone; looked at /gone\."):
        resolve_model("/gone")


@pytest.mark.parametrize("file", ["ndarray-cache.json", "tensor-cache.json", "mlc-chat-config.json"])
def test_weights_that_mlc_packed_are_refused(file: str, tmp_path: Path) -> None:
    folder = tmp_path / "Llama-MLC"
    folder.mkdir()
    (folder / file).write_text("{}")
    with pytest.raises(CheckpointError, match="packed by MLC LLM, which cannot be read yet"):
        resolve_model(str(folder))
    (folder / "config.json").write_text("{}")
    assert resolve_model(str(folder)) == folder
