"""Every route with anything at all: never a 500, and answers are as the OpenAPI document says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance

from portico.config.compat import CompatName
from portico.protocol.messages import Add, TokenEvent
from portico.server.app import create_app
from portico.text.model import TextModel
from tests.fuzz.effort import EXAMPLES
from tests.server.fake_engine import FakeEngine, Step, echo
from tests.server.harness import SETTINGS, LiveServer, portico
from tests.text.folders import write_folder

ALL = replace(SETTINGS, debug=True, tracing=True, abort_all=True)
FORMS: tuple[CompatName, ...] = ("none", "mlc-chat", "lmdeploy", "vllm")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    return TextModel.load(write_folder(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def live(model: TextModel) -> Iterator[LiveServer]:
    with portico(model, ALL) as server:
        server.engine.script = answers
        yield server


@pytest.fixture(scope="module")
def apps(model: TextModel) -> dict[str, FastAPI]:
    """The application in each of its dialects."""
    return {compat: create_app(FakeEngine(answers), model, replace(ALL, compat=compat)) for compat in FORMS}


def answers(add: Add) -> Iterable[Step]:
    """Repeat the prompt, or give its vector."""
    if add.params.pooling is None:
        return echo(add)
    return [[TokenEvent(add.request_id, 0, [], "length", embedding=[0.5] * 8)]]


def test_every_route_of_the_document(live: LiveServer) -> None:
    document = create_app(FakeEngine(), live.text, ALL).openapi()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.base_url = live.url
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:

        @settings(
            max_examples=max(2, EXAMPLES // 8),
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            answer = case.call(timeout=30)
            checks = [not_a_server_error, *([content_type_conformance] if answer.content else [])]
            case.validate_response(answer, checks=checks)

        ask()


FIELDS = (
    "model prompt messages input stop n max_tokens temperature logit_bias tools tool_choice functions stream "
    "response_format stream_options guided_json guided_regex guided_choice guided_grammar structured_outputs seed "
    "logprobs top_logprobs echo suffix input_ids best_of num_beams bad_words documents chat_template_kwargs "
    "session_id text_1 text_2 query documents request_output_len interactive_mode tokens cancel max_gen_len "
    "debug_config prompt_logprobs cache_salt reasoning_effort "
).split()
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["user", "function", "json_object", "auto", "{", "(", 2**70, -1, "\x00", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "function", "name", "parameters", "schema", "json_schema", "id"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=6,
)
good = {
    "messages": [{"role": "user", "content": "hi"}],
    "prompt": "hi",
    "input": "hi",
    "max_tokens": 2,
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "session_id": 3,
}
bodies = st.builds(
    lambda some, more: {**some, **more},
    st.sets(st.sampled_from(sorted(good)), max_size=4).map(lambda names: {name: good[name] for name in names}),
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=4),
)
POSTS = (
    "/v1/chat/completions /v1/completions /v1/embeddings /tokenize /detokenize /score /rerank /v1/chat/interactive "
    "/generate /v1/encode /abort_request /debug/dump_engine_metrics"
).split()


@pytest.mark.parametrize("compat", FORMS)
@settings(max_examples=EXAMPLES * 3, deadline=None, suppress_health_check=list(HealthCheck))
@given(path=st.sampled_from(POSTS), body=bodies | st.binary(max_size=40) | values)
async def test_any_body(compat: Any, path: str, body: Any, apps: Any) -> None:
    transport = httpx.ASGITransport(apps[compat], raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        if isinstance(body, bytes):
            answer = await client.post(path, content=body)
        else:
            answer = await client.post(path, json=body)
    assert answer.status_code < 500 or answer.status_code == 501, (path, body, answer.text)
