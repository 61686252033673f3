from __future__ import annotations

from pathlib import Path
from typing import Any

from portico.text.model import TextModel
from tests.server.harness import LiveServer, portico
from tests.text.folders import llama, write_folder

LLAMA_TEMPLATE = "{{ bos_token }}{% for m in messages %}[INST] {{ m.content }} [/INST]{% endfor %}"


def encode(server: LiveServer, **fields: Any) -> dict[str, Any]:
    with server.http() as http:
        answer: dict[str, Any] = http.post("/v1/encode", json=fields).json()
    return answer


def test_one_text_and_several(server: LiveServer) -> None:
    ids = server.text.tokenizer.encode("Hello 你好", add_special_tokens=True)
    assert encode(server, input="Hello 你好") == {"input_ids": ids, "length": len(ids)}
    assert encode(server, input=["Hello 你好", ""]) == {"input_ids": [ids, []], "length": [len(ids), 0]}
    assert encode(server, input=[]) == {"input_ids": [], "length": []}


def test_laid_out_as_a_users_message(server: LiveServer) -> None:
    ids = encode(server, input="Hello", do_preprocess=True)["input_ids"]
    text = server.text.tokenizer.decode(ids, skip_special_tokens=False)
    assert text == "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"


def test_with_and_without_what_begins_a_text(tmp_path: Path) -> None:
    config = {"bos_token": "<s>", "eos_token": "</s>"}
    text = TextModel.load(write_folder(tmp_path, llama(), config=config, template=LLAMA_TEMPLATE))
    with portico(text) as server:
        for preprocess in (False, True):
            whole = encode(server, input="The", do_preprocess=preprocess)["input_ids"]
            bare = encode(server, input="The", do_preprocess=preprocess, add_bos=False)["input_ids"]
            assert whole == [1, *bare]


def test_the_page_is_where_lmdeploy_has_it(server: LiveServer) -> None:
    with server.http() as http:
        assert "swagger" in http.get("/", follow_redirects=True).text.lower()
        paths = http.get("/openapi.json").json()["paths"]
    assert {"/v1/chat/interactive", "/generate", "/v1/encode"} <= set(paths)


def test_what_is_no_text(server: LiveServer) -> None:
    error = encode(server, input=5)
    assert (error["code"], error["param"], error["object"]) == (400, "input", "error")
