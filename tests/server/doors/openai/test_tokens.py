from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from portico.config.text import TextOptions
from portico.text.model import TextModel
from tests.server.fake_engine import say
from tests.server.harness import MODEL, LiveServer, portico
from tests.text.folders import CHATML, byte_level, write_folder

HELLO = [{"role": "user", "content": "Hello 你好"}]
RENDERED = "<|im_start|>user\nHello 你好<|im_end|>\n"
PROMPT = "<|im_start|>assistant\n"


def ask(server: LiveServer, path: str, status: int = 200, **body: Any) -> Any:
    answer = server.http().post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else answer.json()["error"]


def test_a_text(server: LiveServer) -> None:
    answer = ask(server, "/tokenize", model=MODEL, prompt="The capital 😀")
    ids = server.text.tokenizer.encode("The capital 😀", add_special_tokens=True)
    assert answer == {"count": len(ids), "max_model_len": 256, "tokens": ids, "token_strs": None}
    assert ask(server, "/detokenize", model="alias", tokens=ids) == {"prompt": "The capital 😀"}


def test_the_names_of_tokens_are_the_vocabularys(server: LiveServer) -> None:
    answer = ask(server, "/tokenize", prompt=" The<|im_end|>", return_token_strs=True)
    oracle = byte_level().encode(" The<|im_end|>")
    assert (answer["tokens"], answer["token_strs"]) == (oracle.ids, oracle.tokens)
    assert answer["token_strs"][-1] == "<|im_end|>"


def test_a_conversation_has_the_tokens_that_the_model_reads(server: LiveServer) -> None:
    answer = ask(server, "/tokenize", messages=HELLO)
    assert ask(server, "/detokenize", tokens=answer["tokens"])["prompt"] == RENDERED + PROMPT
    server.openai().chat.completions.create(model=MODEL, messages=HELLO, max_tokens=1)  # type: ignore[arg-type]
    assert server.engine.added[-1].prompt_ids == answer["tokens"]
    bare = ask(server, "/tokenize", messages=HELLO, add_generation_prompt=False)
    assert ask(server, "/detokenize", tokens=bare["tokens"])["prompt"] == RENDERED
    open_ended = ask(server, "/tokenize", messages=HELLO, continue_final_message=True, add_generation_prompt=False)
    assert ask(server, "/detokenize", tokens=open_ended["tokens"])["prompt"] == RENDERED.removesuffix("<|im_end|>\n")


def test_more_than_the_context_is_counted_too(server: LiveServer) -> None:
    answer = ask(server, "/tokenize", prompt="Paris " * 1000)
    assert answer["count"] > 1000 > answer["max_model_len"]


def test_no_text_has_no_tokens(server: LiveServer) -> None:
    assert ask(server, "/tokenize", prompt="", add_special_tokens=False)["tokens"] == []
    assert ask(server, "/detokenize", tokens=[]) == {"prompt": ""}


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/tokenize", {}, 400, "prompt"),
        ("/tokenize", {"prompt": "x", "messages": HELLO}, 400, "prompt"),
        ("/tokenize", {"prompt": 5}, 400, "prompt"),
        ("/tokenize", {"prompt": "\ud800"}, 400, None),
        ("/tokenize", {"prompt": "x", "model": "none"}, 404, "model"),
        ("/tokenize", {"messages": []}, 400, "messages"),
        ("/tokenize", {"messages": HELLO, "chat_template": "{{ 1 }}"}, 400, "chat_template"),
        ("/tokenize", {"messages": HELLO, "add_generation_prompt": True, "continue_final_message": True}, 400,
         "continue_final_message"),
        ("/detokenize", {}, 400, "tokens"),
        ("/detokenize", {"tokens": [10**6]}, 400, "tokens.0"),
        ("/detokenize", {"tokens": [1, -1]}, 400, "tokens.1"),
        ("/detokenize", {"tokens": ["x"]}, 400, "tokens.0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(server: LiveServer, path: str, body: Any, status: int, param: str | None) -> None:
    if param is None:
        answer = server.http().post(path, content=b'{"prompt": "\\ud800"}')
        assert (answer.status_code, answer.json()["error"]["code"]) in ((400, "invalid_value"), (400, "invalid_json"))
    else:
        assert ask(server, path, status, **body)["param"] == param


def chat(server: LiveServer, status: int = 200, **body: Any) -> Any:
    return ask(server, "/v1/chat/completions", status, **{"model": MODEL, "max_tokens": 2, **body})


def read(server: LiveServer) -> str:
    """What the model was last given to read."""
    return server.text.tokenizer.decode(server.engine.added[-1].prompt_ids, skip_special_tokens=False)


def test_the_fields_of_the_layout_reach_the_prompt(server: LiveServer) -> None:
    chat(server, messages=HELLO, add_generation_prompt=False)
    assert read(server) == RENDERED
    talk = [*HELLO, {"role": "assistant", "content": "Once upon"}]
    chat(server, messages=talk, continue_final_message=True)
    assert read(server) == RENDERED + PROMPT + "Once upon"


@pytest.mark.parametrize("stream", [False, True])
def test_echo_begins_with_the_last_message_of_the_answers_role(server: LiveServer, stream: bool) -> None:
    ids = server.text.tokenizer.encode(" a time", add_special_tokens=False)
    server.engine.script = say(ids, "length")
    talk: list[Any] = [*HELLO, {"role": "assistant", "content": [{"type": "text", "text": "Once upon"}]}]

    def answer(messages: list[Any], role: str = "assistant", **fields: Any) -> str:
        extra = {"echo": True, **fields}
        made: Any = server.openai().chat.completions.create(
            model=MODEL, messages=messages, stream=stream, extra_body=extra
        )
        if stream:
            deltas = [chunk.choices[0].delta for chunk in made]
            assert deltas[0].role == role
            return "".join(delta.content or "" for delta in deltas)
        assert made.choices[0].message.role == role
        return str(made.choices[0].message.content)

    assert answer(talk, continue_final_message=True) == "Once upon a time"
    assert answer(talk) == "Once upon a time"
    assert answer(HELLO) == " a time"
    assert answer(HELLO, "user", add_generation_prompt=False) == "Hello 你好 a time"


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"chat_template": "{{ 1 }}"}, "chat_template", "--trust-request-chat-template"),
        ({"chat_template_kwargs": {"chat_template": "{{ 1 }}"}}, "chat_template_kwargs.chat_template", "field"),
        ({"chat_template_kwargs": {"tokenize": False}}, "chat_template_kwargs.tokenize", "no meaning"),
        ({"continue_final_message": True, "messages": [{"role": "assistant", "content": ""}]},
         "continue_final_message", "no text"),
    ],
)  # fmt: skip
def test_what_a_layout_cannot_have_is_named(server: LiveServer, body: Any, param: str, words: str) -> None:
    error = chat(server, 400, **{"messages": HELLO, **body})
    assert error["param"] == param
    assert words in error["message"]
    assert server.engine.added == []


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    named = [
        {"name": "rag", "template": "{{ documents[0].text }}|{{ flavour }}"},
        {"name": "default", "template": CHATML},
    ]
    folder = write_folder(tmp_path_factory.mktemp("named"), config={"chat_template": named}, template=None)
    with portico(TextModel.load(folder, TextOptions(trust_request_templates=True))) as server:
        yield server


def test_a_named_template_with_documents_and_further_names(trusting: LiveServer) -> None:
    fields = {"chat_template": "rag", "documents": [{"text": "Paris"}], "chat_template_kwargs": {"flavour": "sweet"}}
    chat(trusting, messages=HELLO, **fields)
    assert read(trusting) == "Paris|sweet"


def test_a_template_of_the_request_where_it_is_trusted(trusting: LiveServer) -> None:
    chat(trusting, messages=HELLO, chat_template="{% for m in messages %}{{ m.content }}!{% endfor %}")
    assert read(trusting) == "Hello 你好!"
    assert chat(trusting, 400, messages=HELLO, chat_template="{% if %}")["param"] == "chat_template"
    assert "refused" in chat(trusting, 400, messages=HELLO, chat_template="{{ ''.__class__.__mro__ }}")["message"]
    assert chat(trusting, 400, messages=HELLO, chat_template="x" * 300_000)["param"] == "chat_template"


def test_a_model_without_a_template_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = write_folder(tmp_path_factory.mktemp("bare"), template=None)
    with portico(TextModel.load(folder)) as server:
        error = chat(server, 400, messages=HELLO)
        assert (error["param"], error["code"]) == ("messages", "no_chat_template")
        assert "--chat-template" in error["message"]
    with portico(TextModel.load(folder, TextOptions(chat_template=CHATML))) as server:
        chat(server, messages=HELLO)
        assert read(server) == RENDERED + PROMPT
