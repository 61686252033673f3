from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from portico.errors import CheckpointError
from portico.text.pooling import PoolingDefaults

TRANSFORMER = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
POOLING = {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
NORMALIZE = {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}
DENSE = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}


def write(folder: Path, modules: list[Any], **pooling: Any) -> PoolingDefaults:
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 8, **pooling}))
    return PoolingDefaults.load(folder)


def test_without_a_word_it_is_the_last_token(tmp_path: Path) -> None:
    assert PoolingDefaults.load(tmp_path) == PoolingDefaults("last", normalize=True)


def test_who_serves_may_have_another_habit_that_the_folder_comes_before(tmp_path: Path) -> None:
    assert PoolingDefaults.load(tmp_path, "mean") == PoolingDefaults("mean", normalize=True)
    write(tmp_path, [TRANSFORMER, POOLING], pooling_mode_cls_token=True)
    assert PoolingDefaults.load(tmp_path, "mean").kind == "first"


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("pooling_mode_lasttoken", "last"), ("pooling_mode_mean_tokens", "mean"), ("pooling_mode_cls_token", "first")],
)
def test_the_folder_says_how(tmp_path: Path, mode: str, kind: Any) -> None:
    found = write(tmp_path, [TRANSFORMER, POOLING], **{mode: True, "pooling_mode_max_tokens": False})
    assert found == PoolingDefaults(kind, normalize=False)


def test_normalisation_is_a_module(tmp_path: Path) -> None:
    assert write(tmp_path, [TRANSFORMER, POOLING, NORMALIZE], pooling_mode_mean_tokens=True).normalize


@pytest.mark.parametrize(
    ("modules", "pooling", "word"),
    [
        ([TRANSFORMER, POOLING, DENSE], {"pooling_mode_lasttoken": True}, "Dense"),
        ([TRANSFORMER, POOLING], {"pooling_mode_max_tokens": True}, "max_tokens"),
        ([TRANSFORMER, POOLING], {"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": True}, "mean_tokens"),
    ],
)
def test_what_cannot_be_made_is_named(tmp_path: Path, modules: list[Any], pooling: dict[str, Any], word: str) -> None:
    problem = write(tmp_path, modules, **pooling).problem
    assert problem is not None
    assert word in problem


@pytest.mark.parametrize("broken", ["{", "{}", '[{"path": ""}]'])
def test_a_broken_list_of_modules_is_an_error(tmp_path: Path, broken: str) -> None:
    (tmp_path / "modules.json").write_text(broken)
    with pytest.raises(CheckpointError, match="modules"):
        PoolingDefaults.load(tmp_path)
