"""X-Request-Id in and out at every door: whole answers, streams and refusals."""

from __future__ import annotations

import pytest

from tests.server.harness import MODEL, LiveServer

CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "a"}], "max_tokens": 2}
TEXT = {"model": MODEL, "prompt": "a", "max_tokens": 2}
DOORS = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": TEXT,
    "/v1/embeddings": {"model": MODEL, "input": "a"},
    "/v1/chat/interactive": {"prompt": "a", "request_output_len": 2},
    "/generate": {"prompt": "a", "max_tokens": 2},
    "/tokenize": {"model": MODEL, "prompt": "a"},
    "/score": {"model": MODEL, "text_1": "a", "text_2": "b"},
    "/rerank": {"model": MODEL, "query": "a", "documents": ["b"]},
}


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("kind", ["whole", "stream", "refused", "malformed"])
def test_the_same_id_comes_back(server: LiveServer, path: str, kind: str) -> None:
    body = {**DOORS[path], "stream": True} if kind == "stream" else DOORS[path]
    content = {"malformed": b"{", "refused": b'{"max_tokens": "x"}'}.get(kind)
    sent = {"content": content} if content is not None else {"json": body}
    answer = server.http().post(path, **sent, headers={"x-request-id": "mine-1"})  # type: ignore[arg-type]
    assert answer.headers["x-request-id"] == "mine-1"
    assert "x-portico-error-code" not in answer.headers
    if kind in ("refused", "malformed"):
        assert answer.status_code >= 400
