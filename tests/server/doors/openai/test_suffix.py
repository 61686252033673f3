"""Filling in the middle through HTTP, over a model that has the tokens for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tokenizers import AddedToken

from portico.protocol.messages import TokenEvent
from portico.text.model import TextModel
from tests.server.harness import MODEL, LiveServer, portico
from tests.text.folders import byte_level, write_folder

MARKERS = ["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"]
GAP = {"model": MODEL, "prompt": "def main():", "suffix": " + 2"}


@pytest.fixture(scope="module")
def filling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server whose engine says ` return 1` and then the token for padding, which ends the middle."""
    rust = byte_level(vocab_size=380)  # the fake engine's model has 402 tokens
    rust.add_tokens([AddedToken(token, special=False) for token in MARKERS])
    text = TextModel.load(write_folder(tmp_path_factory.mktemp("filling"), rust))

    def script(add: Any) -> Any:
        middle = [*text.tokenizer.encode(" return 1", add_special_tokens=False), text.tokenizer.id_of("<|fim_pad|>")]
        assert middle[-1] in add.params.stop_token_ids
        yield [TokenEvent(add.request_id, 0, middle[:-1])]
        yield [TokenEvent(add.request_id, 0, middle[-1:], "stop")]

    with portico(text) as server:
        server.engine.script = script
        yield server


def post(server: LiveServer, **fields: Any) -> Any:
    return server.http().post("/v1/completions", json=GAP | fields)


def test_the_gap_is_filled(filling: LiveServer) -> None:
    choice = post(filling).json()["choices"][0]
    assert (choice["text"], choice["finish_reason"]) == (" return 1", "stop")
    encode, id_of = filling.text.tokenizer.encode, filling.text.tokenizer.id_of
    prefix, suffix = (encode(GAP[part], add_special_tokens=False) for part in ("prompt", "suffix"))
    asked = filling.engine.added[-1].prompt_ids
    assert asked == [id_of(MARKERS[0]), *prefix, id_of(MARKERS[2]), *suffix, id_of(MARKERS[1])]


def test_an_echo_is_prompt_and_middle(filling: LiveServer) -> None:
    assert post(filling, echo=True).json()["choices"][0]["text"] == "def main(): return 1"


def test_each_of_several_prompts_has_the_suffix(filling: LiveServer) -> None:
    assert len(post(filling, prompt=["a", "b"]).json()["choices"]) == 2
    ends = [filling.text.tokenizer.decode(add.prompt_ids) for add in filling.engine.added[-2:]]
    assert sorted(ends) == [f"<|fim_prefix|>{prefix}<|fim_suffix|> + 2<|fim_middle|>" for prefix in "ab"]


def test_an_empty_suffix_asks_for_nothing(server: LiveServer) -> None:
    assert post(server, suffix="").json()["choices"][0]["text"] == GAP["prompt"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": [5, 6]}, "suffix"),
        ({"prompt": ["a", [5, 6]]}, "suffix"),
        ({"echo": True, "logprobs": 1}, "echo"),
        ({"truncate_prompt_tokens": 3}, "truncate_prompt_tokens"),
        ({"suffix": "x" * 5000}, "prompt"),
    ],
)
def test_what_a_gap_excludes_is_named(filling: LiveServer, fields: dict[str, Any], param: str) -> None:
    before = len(filling.engine.added)
    answer = post(filling, **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
    assert len(filling.engine.added) == before


def test_a_model_without_the_tokens_and_a_chat_have_no_gap(server: LiveServer, filling: LiveServer) -> None:
    answer = post(server)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "suffix")
    assert "fill-in-the-middle" in answer.json()["error"]["message"]
    chat = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "suffix": "x"}
    answer = filling.http().post("/v1/chat/completions", json=chat)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "suffix")
