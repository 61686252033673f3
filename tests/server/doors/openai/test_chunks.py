from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from portico.errors import EngineError
from portico.protocol.events import Finish, TextDelta, Usage
from portico.server.dialect import OPENAI
from portico.server.doors.openai.chunks import CHAT, COMPLETION, ChunkWriter

HEAD: dict[str, object] = {"id": 'a"b', "created": 5, "model": "mödel"}


def read(chunk: bytes) -> dict[str, object]:
    assert chunk.startswith(b"data: ")
    assert chunk.endswith(b"\n\n")
    assert b"\n" not in chunk[:-2]
    value = json.loads(chunk.removeprefix(b"data: "))
    assert isinstance(value, dict)
    return value


@given(st.text(), st.integers(0, 500), st.booleans())
def test_parts_put_together_are_the_json_of_the_whole(text: str, choice: int, usage: bool) -> None:
    null_usage = {"usage": None} if usage else {}
    empty = {"logprobs": None, "finish_reason": None}
    chat = ChunkWriter(CHAT, HEAD, include_usage=usage)
    head = {**HEAD, "object": "chat.completion.chunk"}
    delta = {"index": choice, "delta": {"content": text}, **empty}
    assert read(chat.write(TextDelta(choice, text, 1))) == {**head, "choices": [delta], **null_usage}
    first = {"index": choice, "delta": {"role": "assistant", "content": ""}, **empty}
    assert read(chat.role(choice, "assistant")) == {**head, "choices": [first], **null_usage}
    last = {"index": choice, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert read(chat.write(Finish(choice, "stop"))) == {**head, "choices": [last], **null_usage}

    completion = ChunkWriter(COMPLETION, HEAD, include_usage=usage)
    head = {**HEAD, "object": "text_completion"}
    piece = {"index": choice, "text": text, **empty}
    assert read(completion.write(TextDelta(choice, text, 1))) == {**head, "choices": [piece], **null_usage}
    last = {"index": choice, "text": "", "logprobs": None, "finish_reason": "length"}
    assert read(completion.write(Finish(choice, "length"))) == {**head, "choices": [last], **null_usage}


def test_usage_comes_alone_and_only_when_asked_for() -> None:
    event = Usage(3, 4, 2, 1)
    assert ChunkWriter(CHAT, HEAD, include_usage=False).write(event) == b""
    chunk = read(ChunkWriter(CHAT, HEAD, include_usage=True).write(event))
    assert chunk["choices"] == []
    assert chunk["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }


def test_a_failure_is_an_error_object() -> None:
    error = {"message": "gone", "type": "server_error", "param": None, "code": "engine_error"}
    assert read(OPENAI.failed(EngineError("gone"))) == {"error": error}
