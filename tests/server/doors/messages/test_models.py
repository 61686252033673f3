"""The list of models for Anthropic's client, beside OpenAI's on the same path."""

from __future__ import annotations

import anthropic
import pytest

from tests.server.harness import MODEL, LiveServer


def test_both_clients_find_what_they_know(server: LiveServer, client: anthropic.Anthropic) -> None:
    page = client.models.list()
    assert [model.id for model in page.data] == [MODEL, "alias"]
    assert (page.has_more, page.first_id, page.last_id) == (False, MODEL, "alias")
    first = page.data[0]
    assert (first.type, first.display_name, first.max_input_tokens) == ("model", MODEL, 4096)
    assert first.created_at.tzinfo is not None
    assert client.models.retrieve(MODEL) == first
    assert [model.object for model in server.openai().models.list().data] == ["model", "model"]
    assert server.openai().models.retrieve(MODEL).object == "model"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("nobody")


def test_pages(client: anthropic.Anthropic) -> None:
    assert [model.id for model in client.models.list(limit=1)] == [MODEL, "alias"]
    assert client.models.list(limit=1).has_more
    assert [model.id for model in client.models.list(before_id="alias").data] == [MODEL]
    assert client.models.list(after_id="alias").data == []
    with pytest.raises(anthropic.BadRequestError, match="limit is '0'"):
        client.models.list(limit=0)


def test_while_loading_the_length_is_unknown(server: LiveServer, client: anthropic.Anthropic) -> None:
    server.engine.limits = None
    assert client.models.list().data[0].max_input_tokens is None
