"""Blocks and events of answers, checked by the accumulator of Anthropic's own client."""

from __future__ import annotations

import re
from typing import Any

import anthropic
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from portico.errors import EngineError
from portico.protocol.messages import Add, TokenEvent
from portico.text.model import TextModel
from tests.server.doors.messages.conftest import HI, WEATHER, client_of, post, stream
from tests.server.fake_engine import Gate, Step, say
from tests.server.harness import MODEL, SETTINGS, LiveServer, answering, portico
from tests.server.thinker import ROOMY, as_new, call_of

ADAPTIVE: Any = {"thinking": {"type": "adaptive"}}
ANY_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
BROKEN = EngineError("The engine is gone.")
THOUGHT = "<think>\nIt is 东京.\n</think>\n\n"


def added_up(events: list[Any]) -> dict[str, Any]:
    """The message that Anthropic's client makes of a stream."""
    whole: Any = None
    pieces: dict[int, bytes] = {}
    for event in events:
        if event["type"] != "ping":
            given_event = ANY_EVENT.validate_python(event)
            whole = accumulate_event(event=given_event, current_snapshot=whole, json_bufs=pieces)
    made: dict[str, Any] = whole.to_dict()
    return made


def comparable(message: dict[str, Any]) -> dict[str, Any]:
    """Without ids, which are drawn, and what is empty."""
    content = [{name: value for name, value in block.items() if name != "id"} for block in message["content"]]
    kept = {name: message[name] for name in ("type", "role", "model", "stop_reason", "stop_sequence", "usage")}
    return {**kept, "content": content}


def begun(add: Add) -> list[Step]:
    """The start of an answer."""
    return [[TokenEvent(add.request_id, 0, [5, 6])]]


def kinds(events: list[Any]) -> list[str]:
    """What comes, in order; deltas by what they add, repeated ones once."""
    names = [event["delta"]["type"] if event["type"] == "content_block_delta" else event["type"] for event in events]
    return [name for place, name in enumerate(names) if names[place - 1 : place] != [name]]


def test_a_text(server: LiveServer) -> None:
    answering(server, "Paris")
    message = post(server, {})
    assert message["id"].startswith("msg_")
    assert (message["type"], message["role"], message["model"]) == ("message", "assistant", MODEL)
    assert message["content"] == [{"type": "text", "text": "Paris"}]
    assert (message["stop_reason"], message["stop_sequence"]) == ("end_turn", None)
    assert message["usage"] == {
        "input_tokens": len(server.engine.added[-1].prompt_ids),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": len(server.text.tokenizer.encode("Paris", add_special_tokens=False)) + 1,
        "output_tokens_details": {"thinking_tokens": 0},
        "service_tier": "standard",
    }


def test_the_order_of_events(server: LiveServer) -> None:
    answering(server, THOUGHT + "Paris\n" + call_of("get_weather", city="Paris") + call_of("get_weather", city="Bonn"))
    events = stream(server, {"tools": [WEATHER], **ADAPTIVE})
    block = ["content_block_start", "input_json_delta", "content_block_stop"]
    assert kinds(events) == [
        "message_start",
        "content_block_start",
        "ping",
        "thinking_delta",
        "signature_delta",
        "content_block_stop",
        "content_block_start",
        "text_delta",
        "content_block_stop",
        *block,
        *block,
        "message_delta",
        "message_stop",
    ]
    start = events[0]["message"]
    assert (start["content"], start["stop_reason"]) == ([], None)
    assert start["usage"]["input_tokens"] == len(server.engine.added[-1].prompt_ids)
    assert start["usage"]["output_tokens"] == 0
    content = added_up(events)["content"]
    assert [block["type"] for block in content] == ["thinking", "text", "tool_use", "tool_use"]
    assert content[0]["thinking"] == "It is 东京."
    assert content[0]["signature"]
    assert [block["input"] for block in content[2:]] == [{"city": "Paris"}, {"city": "Bonn"}]
    assert added_up(events)["stop_reason"] == "tool_use"
    assert added_up(events)["usage"]["output_tokens_details"]["thinking_tokens"] > 0


PIECES = st.lists(
    st.sampled_from(
        [" ", "\n", "Paris", "东京 🎉", call_of("get_weather", city="Bonn"), call_of("get_weather"), "END"]
    ),
    max_size=5,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    thinks=st.booleans(),
    pieces=PIECES,
    cut=st.integers(0, 20),
    per_step=st.integers(1, 9),
    display=st.sampled_from(["summarized", "omitted"]),
    finish=st.sampled_from(["stop", "length"]),
)
def test_a_whole_answer_is_what_its_stream_adds_up_to(
    server: LiveServer, thinks: bool, pieces: list[str], cut: int, per_step: int, display: str, finish: str
) -> None:
    ids = server.text.tokenizer.encode(THOUGHT * thinks + "".join(pieces), add_special_tokens=False)
    kept = ids[: max(1, len(ids) - cut)] or server.text.tokenizer.encode("a", add_special_tokens=False)
    server.engine.script = say(kept, finish, per_step)
    body = {"tools": [WEATHER], "stop_sequences": ["END"], "thinking": {"type": "adaptive", "display": display}}
    whole = post(server, body)
    assert comparable(added_up(stream(server, body))) == comparable(whole)


@pytest.mark.parametrize(
    ("text", "finish", "reason", "stop", "shown"),
    [
        ("Paris", "stop", "end_turn", None, "Paris"),
        ("Paris", "length", "max_tokens", None, "Paris"),
        ("Paris END or so", "stop", "stop_sequence", "END", "Paris "),
        ("one two", "stop", "stop_sequence", " two", "one"),
    ],
)
def test_why_an_answer_ended(
    server: LiveServer, text: str, finish: str, reason: str, stop: str | None, shown: str
) -> None:
    answering(server, text, finish)
    message = post(server, {"stop_sequences": ["END", " two", "wo"]})
    assert (message["stop_reason"], message["stop_sequence"]) == (reason, stop)
    assert message["content"] == [{"type": "text", "text": shown}]


def test_more_tokens_than_the_context_has_room_for(server: LiveServer) -> None:
    answering(server, "Paris", "length")
    message = post(server, {"max_tokens": 32_000})
    assert message["stop_reason"] == "model_context_window_exceeded"
    added = server.engine.added[-1]
    assert added.params.max_tokens == ROOMY.max_model_len - len(added.prompt_ids)
    error = post(server, {"messages": [{"role": "user", "content": "a b " * 3000}]}, 400)["error"]
    assert re.fullmatch(r"prompt is too long: \d+ tokens > 4095 maximum", error["message"])


def test_an_empty_answer_has_an_empty_text(server: LiveServer) -> None:
    answering(server, "")
    assert post(server, {})["content"] == [{"type": "text", "text": ""}]


def test_calls_that_must_be_made(server: LiveServer) -> None:
    answering(server, call_of("get_weather", city="Bonn"))
    for choice in ({"type": "any"}, {"type": "tool", "name": "get_weather"}):
        message = post(server, {"tools": [WEATHER], "tool_choice": choice})
        assert [block["type"] for block in message["content"]] == ["tool_use"]
        assert server.engine.added[-1].params.grammar is not None
    answering(server, call_of("get_weather", city="Bonn") * 2)
    single = {"type": "auto", "disable_parallel_tool_use": True}
    assert len(post(server, {"tools": [WEATHER], "tool_choice": single})["content"]) == 1
    assert len(post(server, {"tools": [WEATHER]})["content"]) == 2
    answering(server, "no")
    post(server, {"tools": [WEATHER], "tool_choice": {"type": "none"}})
    assert len(server.engine.added[-1].prompt_ids) < 40


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('{"city": "Bo', {}),
        ('{"city": "Bonn", "days": 3', {"city": "Bonn", "days": 3}),
        ('{"city": "Bonn",}', {"INVALID_JSON": '{"city": "Bonn",}'}),
        ('{"city": "\\ud800"}', {"INVALID_JSON": '{"city": "\\ud800"}'}),
    ],
)
def test_arguments_that_are_cut_off_or_no_json(server: LiveServer, written: str, read: dict[str, Any]) -> None:
    answering(server, f'<tool_call>\n{{"name": "get_weather", "arguments": {written}', "length")
    message = post(server, {"tools": [WEATHER]})
    assert message["content"][0]["input"] == read
    assert message["stop_reason"] == "max_tokens"
    events = stream(server, {"tools": [WEATHER]})
    pieces = [event["delta"]["partial_json"] for event in events if event["type"] == "content_block_delta"]
    assert "".join(pieces) == written


def test_thinking_that_is_switched_off_is_not_shown(server: LiveServer) -> None:
    answering(server, "Paris")
    for thinking in (None, {"type": "disabled"}):
        assert [block["type"] for block in post(server, {"thinking": thinking})["content"]] == ["text"]


def test_a_failure_in_mid_stream_is_an_event(server: LiveServer, client: anthropic.Anthropic) -> None:
    server.engine.script = lambda add: [*begun(add), BROKEN]
    events = stream(server, {})
    assert events[-1]["type"] == "error"
    assert events[-1]["error"]["type"] == "api_error"
    assert events[-1]["request_id"].startswith("msg-")
    assert "message_stop" not in kinds(events)
    with pytest.raises(anthropic.APIStatusError, match="engine is gone"):
        list(client.messages.create(model=MODEL, max_tokens=9, messages=HI, stream=True))
    assert post(server, {}, 500)["error"] == {"type": "api_error", "message": "The engine is gone."}


def test_a_stream_says_that_it_goes_on(thinker: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    monkeypatch.setattr("portico.server.sse.BEAT_SECONDS", 0.01)
    with portico(thinker, SETTINGS) as server:
        as_new(server)
        server.engine.script = lambda add: [gate, *say([5], "length")(add)]
        asked = {"model": MODEL, "max_tokens": 9, "messages": HI, "stream": True}
        with server.http().stream("POST", "/v1/messages", json=asked) as answer:
            lines = answer.iter_lines()
            pings = 0
            while pings < 3:
                pings += next(lines) == "event: ping"
            gate.open()
            assert "event: message_stop" in list(lines)


def test_a_client_that_leaves_stops_its_request(server: LiveServer) -> None:
    gate = Gate()
    server.engine.script = lambda add: [*begun(add), gate]
    with client_of(server).messages.create(model=MODEL, max_tokens=9, messages=HI, stream=True) as events:
        next(iter(events))
        server.engine.wait_for(lambda: bool(server.engine.added))
    server.engine.wait_for(lambda: bool(server.engine.cancelled))
    gate.open()
