from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from portico.errors import RequestError
from portico.server.body import parse_body
from portico.server.doors.openai.schema import ChatCompletionRequest, CompletionRequest
from tests.server.harness import LiveServer

PARAMETERS = sorted({*ChatCompletionRequest.model_fields, *CompletionRequest.model_fields})
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "byte 0"),
        (b'{"prompt": "x",}', "byte 15"),
        (b'{"prompt": "x"', "byte 14"),
        (b'{"temperature": NaN}', "byte 16"),
        (b'{"prompt": "\xff"}', "UTF-8"),
        (b'{"prompt": "\\ud800"}', "not valid JSON"),
        (b"[" * 100_000, "nested more than 128 levels deep"),
        (b"[]", "must be a JSON object; it is []"),
        (b'"text"', 'must be a JSON object; it is "text"'),
    ],
)
def test_what_is_no_json_object_is_refused_with_its_place(server: LiveServer, body: bytes, message: str) -> None:
    answer = server.http().post("/v1/completions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"
    assert message in answer.json()["error"]["message"]


def test_the_content_type_does_not_matter(server: LiveServer) -> None:
    body = b'{"prompt": "Hello"}'
    assert (
        server.http().post("/v1/completions", content=body, headers={"content-type": "text/plain"}).status_code == 200
    )
    assert server.http().post("/v1/completions", content=body).status_code == 200


def test_a_compressed_body_is_told_so_and_never_unpacked(server: LiveServer) -> None:
    body = gzip.compress(b'{"prompt": "' + b" " * 2**24 + b'"}')
    with server.http() as http:
        answer = http.post("/v1/completions", content=body, headers={"content-encoding": "gzip"})
        assert answer.status_code == 415
        assert "'gzip'; send it as it is" in answer.json()["error"]["message"]
        plain = {"content-encoding": "identity"}
        assert http.post("/v1/completions", json={"prompt": "x", "max_tokens": 1}, headers=plain).status_code == 200


def test_long_values_are_quoted_in_part() -> None:
    with pytest.raises(RequestError) as caught:
        parse_body(json.dumps({"prompt": "x", "temperature": "9" * 10_000}).encode(), CompletionRequest)
    assert len(caught.value.message) < 300


def test_lengths_are_told_as_wishes() -> None:
    class Body(BaseModel):
        texts: list[str] = Field(min_length=1)
        name: str = Field(max_length=3)

    with pytest.raises(RequestError, match=r"^texts is \[\]; it should have at least 1 item\.$"):
        parse_body(b'{"texts": [], "name": "x"}', Body)
    with pytest.raises(RequestError, match=r'^name is "four"; it should have at most 3 characters\.$'):
        parse_body(b'{"texts": ["x"], "name": "four"}', Body)


def test_alternatives_are_named_together() -> None:
    with pytest.raises(RequestError, match="stop is 5; it should be a valid string or should be a valid list"):
        parse_body(b'{"prompt": "x", "stop": 5}', CompletionRequest)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(PARAMETERS), json_values, max_size=4))
def test_any_object_is_a_body_or_an_error_that_names_a_field_of_it(fields: dict[str, object]) -> None:
    for model in (ChatCompletionRequest, CompletionRequest):
        error = refusal(json.dumps(fields).encode(), model)
        if error is not None and error.code != "invalid_json":
            assert error.status == 400
            assert error.param is not None
            assert error.param.split(".")[0] in PARAMETERS


def refusal(data: bytes, model: type[BaseModel]) -> RequestError | None:
    try:
        parse_body(data, model)
    except RequestError as error:
        return error
    return None
