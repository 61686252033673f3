from __future__ import annotations

import openai
import pytest

from tests.server.harness import MODEL, LiveServer


def test_all_names_are_listed(server: LiveServer) -> None:
    models = server.openai().models.list().data
    assert [model.id for model in models] == [MODEL, "alias"]
    assert {model.object for model in models} == {"model"}
    assert [model.max_model_len for model in models] == [256, 256]  # type: ignore[attr-defined]


def test_one_is_found_by_a_name_with_slashes(server: LiveServer) -> None:
    assert server.openai().models.retrieve(MODEL).id == MODEL
    assert server.http().get(f"/v1/models/{MODEL}").json()["id"] == MODEL


def test_another_is_not_found(server: LiveServer) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        server.openai().models.retrieve("nobody")
    assert caught.value.code == "model_not_found"


def test_while_loading_the_length_is_unknown(server: LiveServer) -> None:
    server.engine.limits = None
    assert server.http().get("/v1/models").json()["data"][0]["max_model_len"] is None
