"""/chat/reset, /stats, /verbose_stats."""

from __future__ import annotations

import re

import pytest

from portico.text.model import TextModel
from tests.server.harness import MODEL, portico

SPEEDS = r"prefill: (\S+) tok/s, decode: (\S+) tok/s"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_speeds_since_the_last_reset(text_model: TextModel, method: str) -> None:
    with portico(text_model) as server, server.http() as http:

        def told(path: str = "/stats") -> str:
            answer = http.request(method, path)
            assert answer.status_code == 200
            return str(answer.json())

        assert told() == "prefill: nan tok/s, decode: nan tok/s"
        http.post("/v1/completions", json={"model": MODEL, "prompt": "Hello, world!", "max_tokens": 4})
        speeds = re.fullmatch(SPEEDS, told())
        assert speeds is not None
        assert all(float(speed) > 0 for speed in speeds.groups())
        verbose = told("/verbose_stats")
        prompt = len(server.engine.added[0].prompt_ids)
        assert re.findall(r"total tokens: (\d+) tok\n", verbose) == [str(prompt), "3"]
        assert verbose.startswith("----------- prefill -----------\nthroughput: ")
        assert http.request(method, "/chat/reset").text == "null"
        assert told() == "prefill: nan tok/s, decode: nan tok/s"
