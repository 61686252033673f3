"""What `--compat vllm` does to errors."""

from __future__ import annotations

import dataclasses
import json

from portico.protocol.messages import TokenEvent
from portico.text.model import TextModel
from tests.server.harness import MODEL, SETTINGS, portico


def test_the_code_of_an_error_is_its_status(text_model: TextModel) -> None:
    settings = dataclasses.replace(SETTINGS, compat="vllm", api_keys=("key",))
    with portico(text_model, settings) as server, server.http() as http:
        assert http.get("/v1/models").json() == {"error": "Unauthorized"}
        http.headers["authorization"] = "Bearer key"
        body = {"model": MODEL, "prompt": "x"}
        unknown = http.post("/v1/completions", json=body | {"model": "gpt"})
        wrong = http.post("/v1/completions", json=body | {"top_k": -2})
        server.engine.script = lambda add: [[TokenEvent(add.request_id, 0, [], "error", error="no luck")]]
        failed = http.post("/v1/completions", json=body | {"stream": True}).text.split("\n\n")
    for answer, kind, param in ((unknown, "NotFoundError", "model"), (wrong, "BadRequestError", "top_k")):
        error = answer.json()["error"]
        assert (error["code"], error["type"], error["param"]) == (answer.status_code, kind, param)
    error = json.loads(failed[-3].removeprefix("data: "))["error"]
    assert error == {"message": "no luck", "type": "InternalServerError", "param": None, "code": 500}
