"""What comes of an answer: items, and a stream of which the whole is the sum."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.responses import Response

from portico.errors import EngineError
from portico.protocol.events import ReasoningDelta, TextDelta, ToolCallDelta
from portico.protocol.messages import TokenEvent, TokenLogprobs
from portico.server.doors.responses.freeform import InputReader
from portico.server.doors.responses.output import Output
from portico.server.doors.responses.tools import Tool, Toolset
from portico.text.model import TextModel
from tests.server.doors.responses.conftest import PATCH, WEATHER, events_of, post, stream
from tests.server.fake_engine import Gate
from tests.server.harness import LiveServer, answering, portico
from tests.server.thinker import as_new, call_of, prompt

FIELDS = {
    "response.output_text.delta": ("content", "text"),
    "response.reasoning_text.delta": ("content", "text"),
    "response.reasoning_summary_text.delta": ("summary", "text"),
}
ARGUMENTS = {
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
}


def add_up(events: list[Any]) -> list[Any]:
    """The items that a client knows of when it has read no `done` event, which it then holds against those."""
    items: list[Any] = []
    for event in events:
        place = event.get("output_index")
        match event["type"]:
            case "response.output_item.added":
                assert place == len(items)
                assert event["item"]["status"] == "in_progress"
                items.append(event["item"])
            case "response.content_part.added":
                assert event["content_index"] == len(items[place]["content"])
                items[place]["content"].append(event["part"])
            case "response.reasoning_summary_part.added":
                items[place]["summary"].append(event["part"])
            case kind if kind in FIELDS:
                part = items[place][FIELDS[kind][0]][0]
                part["text"] += event["delta"]
                part.setdefault("logprobs", [])
                part["logprobs"] += event.get("logprobs", [])
                assert event["item_id"] == items[place]["id"]
            case kind if kind in ARGUMENTS:
                assert event["delta"]
                items[place][ARGUMENTS[kind]] += event["delta"]
            case "response.output_text.done":
                part = items[place]["content"][0]
                assert (event["text"], event["logprobs"]) == (part["text"], part["logprobs"])
            case "response.content_part.done" if event["part"]["type"] == "output_text":
                assert event["part"] == items[place]["content"][0]
            case "response.output_item.done":
                made = items[place]
                for part in made.get("summary", []) + made.get("content", []):
                    if part["type"] != "output_text":
                        assert part.pop("logprobs", []) == []
                made["status"] = event["item"]["status"]
                if "encrypted_content" in event["item"]:
                    made["encrypted_content"] = event["item"]["encrypted_content"]
                assert event["item"] == made
    return items


def bare(response: Any) -> Any:
    """A response without what differs from one to the next."""
    text = json.dumps({**response, "created_at": 0, "completed_at": bool(response["completed_at"])})
    text = text.replace(response["id"].removeprefix("resp_"), "ID")
    found = json.loads(text)
    return {**found, "output": [{**item, "call_id": ""} for item in found["output"]]}


def test_a_text(server: LiveServer) -> None:
    ids = answering(server, "Paris, 巴黎.")
    response = post(server, {"input": "Where?", "instructions": "Be short.", "metadata": {"a": "b"}})
    assert prompt(server) == "[system]Be short.[user]Where?[assistant]"
    [item] = response["output"]
    assert (item["type"], item["role"], item["status"]) == ("message", "assistant", "completed")
    assert item["content"] == [{"type": "output_text", "text": "Paris, 巴黎.", "annotations": [], "logprobs": []}]
    assert response["status"] == "completed"
    assert response["completed_at"] >= response["created_at"]
    usage = response["usage"]
    assert usage["input_tokens"] == len(server.engine.added[0].prompt_ids)
    assert usage["output_tokens"] == len(ids) + 1
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert (response["instructions"], response["metadata"]) == ("Be short.", {"a": "b"})
    Response.model_validate(response, strict=True)


def test_every_event_of_a_text_in_order(server: LiveServer) -> None:
    answering(server, "Hello", per_step=100)
    events = stream(server, {})
    kinds = [event["type"] for event in events]
    assert [kind for place, kind in enumerate(kinds) if place == 0 or kinds[place - 1] != kind] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    first, last = events[0]["response"], events[-1]["response"]
    assert (first["status"], first["output"], first["usage"]) == ("in_progress", [], None)
    assert last["output"] == [events[-2]["item"]]
    assert first["id"] == last["id"]


@pytest.mark.parametrize("summary", [None, "auto"])
def test_every_event_of_thinking_a_call_and_a_free_one(server: LiveServer, summary: str | None) -> None:
    patch = '*** Begin\n+ "x" \\ 😀\n'
    calls = f"{call_of('get_weather', city='Rom')}\n{call_of('apply_patch', input=patch)}"
    answering(server, f"<think>\nI need both.\n</think>\n\n{calls}")
    events = stream(server, {"tools": [WEATHER, PATCH], "reasoning": {"summary": summary}})
    kinds = [event["type"].removeprefix("response.") for event in events]
    order = [kind for place, kind in enumerate(kinds) if place == 0 or kinds[place - 1] != kind]
    thinking = [
        *("reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done"),
    ]
    if summary is None:
        thinking = ["content_part.added", "reasoning_text.delta", "reasoning_text.done", "content_part.done"]
    assert order == [
        *("created", "in_progress", "output_item.added", *thinking, "output_item.done"),
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"),
        *("output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done"),
        "completed",
    ]
    items = add_up(events)
    thought, call, free = items
    assert (thought["summary"] if summary else thought["content"])[0]["text"] == "I need both."
    assert (call["name"], json.loads(call["arguments"])) == ("get_weather", {"city": "Rom"})
    assert (free["type"], free["name"], free["input"]) == ("custom_tool_call", "apply_patch", patch)
    assert call["call_id"] != free["call_id"]
    assert items == events[-1]["response"]["output"]
    assert events[-1]["response"]["usage"]["output_tokens_details"]["reasoning_tokens"] > 0


SAID = st.lists(
    st.sampled_from(
        [
            "Hi there 😀",
            "\n\n",
            "你好",
            call_of("get_weather", city="北京"),
            call_of("apply_patch", input='a\n"b"\\ 😀\t'),
            call_of("crm__find", city="x"),
            "<tool_call>{no}</tool_call>",
        ]
    ),
    max_size=5,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=SAID,
    thought=st.sampled_from(["", "<think>\nhm 巴黎\n</think>\n\n", "<think>\nno end"]),
    finish=st.sampled_from(["stop", "length"]),
    per_step=st.sampled_from([1, 2, 7, 1000]),
    summary=st.sampled_from([None, "auto"]),
)
def test_the_whole_is_the_sum_of_the_stream(
    server: LiveServer, parts: list[str], thought: str, finish: str, per_step: int, summary: str | None
) -> None:
    answering(server, thought + "".join(parts) or "x", finish, per_step)
    crm = {"type": "namespace", "name": "crm", "description": "", "tools": [{**WEATHER, "name": "find"}]}
    body = {
        "tools": [WEATHER, PATCH, crm],
        "reasoning": {"summary": summary},
        "include": ["reasoning.encrypted_content"],
        "top_p": 0.5,
    }
    events = stream(server, body)
    last = events[-1]["response"]
    assert add_up(events) == last["output"]
    whole = post(server, body)
    assert bare(whole) == bare(last)
    Response.model_validate(whole, strict=True)
    assert last["status"] == ("completed" if finish == "stop" else "incomplete")
    statuses = [item["status"] for item in last["output"]]
    assert statuses == ["completed"] * (len(statuses) - 1) + [last["status"]]


def test_an_answer_that_is_cut_is_incomplete(server: LiveServer) -> None:
    answering(server, "One two", "length")
    events = stream(server, {"max_output_tokens": 7})
    assert server.engine.added[0].params.max_tokens == 7
    assert events[-1]["type"] == "response.incomplete"
    response = events[-1]["response"]
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert (response["output"][0]["status"], response["completed_at"]) == ("incomplete", None)


def test_an_answer_without_any_text_is_an_empty_message(server: LiveServer) -> None:
    answering(server, "")
    [item] = post(server, {})["output"]
    assert item["content"][0]["text"] == ""


@pytest.mark.parametrize("asked", [{"top_logprobs": 1}, {"include": ["message.output_text.logprobs"]}])
def test_log_probabilities(server: LiveServer, asked: dict[str, Any]) -> None:
    token = server.text.tokenizer.encode("H", add_special_tokens=False)[0]
    scored = TokenLogprobs(-0.5, 1, [token], [-0.5])
    server.engine.script = lambda add: [
        [TokenEvent(add.request_id, 0, [token, token], None, logprobs=[scored, scored])],
        [TokenEvent(add.request_id, 0, [token], "length", logprobs=[scored])],
    ]
    events = stream(server, asked)
    assert add_up(events) == events[-1]["response"]["output"]
    told = events[-1]["response"]["output"][0]["content"][0]["logprobs"]
    assert [(entry["token"], entry["logprob"], entry["bytes"]) for entry in told] == [("H", -0.5, [72])] * 3
    assert [len(entry["top_logprobs"]) for entry in told] == [1] * 3
    assert server.engine.added[0].params.logprobs == asked.get("top_logprobs", 0)
    answering(server, "Hi")
    assert all(event.get("logprobs", []) == [] for event in stream(server, {}))


def test_a_failure_on_the_way(server: LiveServer) -> None:
    ids = server.text.tokenizer.encode("Hello", add_special_tokens=False)
    server.engine.script = lambda add: [[TokenEvent(add.request_id, 0, ids, None)], EngineError("It broke.")]
    events = stream(server, {})
    *_, error, last = events
    assert (error["type"], error["message"], error["error"]["message"]) == ("error", "It broke.", "It broke.")
    assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
    assert last["response"]["error"] == {"code": "server_error", "message": "It broke."}
    assert post(server, {}, 500)["error"]["message"] == "It broke."


JSON_TEXT = st.text(alphabet=st.sampled_from('ab"\\/\n\t\x01é你😀'), max_size=20)


@given(text=JSON_TEXT, ascii_only=st.booleans(), space=st.sampled_from(["", " ", "\n"]), data=st.data())
def test_a_text_is_read_out_of_arguments_however_they_are_split(
    text: str, ascii_only: bool, space: str, data: st.DataObject
) -> None:
    arguments = space + json.dumps({"input": text}, ensure_ascii=ascii_only) + space
    cuts = sorted(data.draw(st.lists(st.integers(0, len(arguments)), max_size=8)))
    reader, said = InputReader(), ""
    for start, end in zip([0, *cuts], [*cuts, len(arguments)], strict=True):
        said += reader.push(arguments[start:end])
    assert said + reader.end() == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"other": 1, "input": "x"}', "x"),
        ("{}", ""),
        ('{"patch": "x"}', '{"patch": "x"}'),
        ('{"input": 5}', '{"input": 5}'),
        ('{"input": "\\ud83d!"}', "\ufffd!"),
        ('{"inp', '{"inp'),
    ],
)
def test_arguments_that_are_not_as_they_should_be(arguments: str, text: str) -> None:
    reader = InputReader()
    assert "".join(map(reader.push, arguments)) + reader.end() == text


EVENTS = st.lists(
    st.one_of(
        st.builds(TextDelta, st.just(0), st.sampled_from(["", " ", "a", "\n"]), st.just(1)),
        st.builds(ReasoningDelta, st.just(0), st.sampled_from(["", "t"])),
        st.builds(ToolCallDelta, st.just(0), st.just(0), st.just("c"), st.sampled_from(["f", "g"]), st.just("")),
        st.builds(
            ToolCallDelta, st.just(0), st.just(0), st.none(), st.none(), st.sampled_from(['{"inp', 'ut": "', "x"])
        ),
    ),
    max_size=12,
)


@given(given_events=EVENTS, status=st.sampled_from(["completed", "incomplete"]))
def test_whatever_comes_is_told_whole(given_events: list[Any], status: Any) -> None:
    tools = Toolset(known={"g": Tool("g", freeform=True)})
    output = Output("resp_x", tools, summary=False, seal=False, as_ids=False)
    events: list[Any] = []
    for event in given_events:
        events += map(copied, output.take(event))
    events += map(copied, output.end(status))
    assert add_up(events) == output.items
    assert output.items


def copied(event: Any) -> Any:
    """As it is at this moment."""
    return json.loads(json.dumps(event))


def test_a_stream_that_the_server_s_end_cuts_off(thinker: TextModel) -> None:
    with portico(thinker, drain_seconds=0.1) as server:
        as_new(server)
        gate = Gate()
        ids = server.text.tokenizer.encode("Hello", add_special_tokens=False)
        server.engine.script = lambda add: [[TokenEvent(add.request_id, 0, ids, None)], gate]
        stopping = threading.Thread(target=lambda: gate.reached.wait(20) and server.ask_to_stop())
        stopping.start()
        *_, error, last = stream(server, {})
        stopping.join(20)
    assert (error["code"], last["type"]) == ("shutting_down", "response.failed")
    assert last["response"]["output"][0]["content"][0]["text"] == "Hello"


def test_a_response_that_takes_too_long(server: LiveServer) -> None:
    server.engine.script = lambda add: [Gate()]
    asked = {"model": "alias", "input": "hi", "priority": 3, "stream": True}
    answer = server.http().post("/v1/responses", json=asked, headers={"x-request-timeout": "0.2"})
    *_, error, last = events_of(answer.text)
    assert (error["code"], last["response"]["error"]["code"]) == ("request_timeout", "request_timeout")
    assert server.engine.added[0].priority == 3
