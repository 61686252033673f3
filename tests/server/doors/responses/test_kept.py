"""Responses that are kept: what goes on from them, what can be asked of them, and by whom."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from portico.config.queue import QueueLimits
from portico.protocol.messages import TokenEvent
from portico.server.sessions.memory import MemoryStore
from portico.server.sessions.sessions import Sessions
from portico.server.sessions.sqlite import SqliteStore
from portico.server.sessions.store import SessionLimits
from portico.text.model import TextModel
from tests.server.doors.responses.conftest import PATCH, WEATHER, events_of, post, stream
from tests.server.fake_engine import Gate, say
from tests.server.harness import MODEL, SETTINGS, LiveServer, answering, portico
from tests.server.thinker import as_new, call_of, prompt


def get(server: LiveServer, path: str, status: int = 200, **params: Any) -> Any:
    answer = server.http().get(f"/v1/responses/{path}", params=params)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.parametrize("streamed", [False, True])
def test_a_conversation_goes_on(server: LiveServer, streamed: bool) -> None:
    answering(server, f"<think>\nhm\n</think>\n\n{call_of('get_weather', city='Rome')}")
    asked = {"tools": [WEATHER], "instructions": "Rule."}
    first = stream(server, asked)[-1]["response"] if streamed else post(server, asked)
    call = first["output"][-1]
    answering(server, "Sunny.")
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "sun"}
    second = post(server, {"input": [result], "previous_response_id": first["id"]})
    assert second["previous_response_id"] == first["id"]
    assert prompt(server) == (
        '[user]hi[assistant]<think>hm</think><tool_call>get_weather{"city": "Rome"}</tool_call>[tool]sun[assistant]'
    )
    assert server.http().delete(f"/v1/responses/{first['id']}").json()["deleted"] is True
    for said in ("one", "two"):  # a response may have several that go on from it
        post(server, {"input": said, "previous_response_id": second["id"]})
        assert prompt(server).endswith(f"[tool]sun[assistant]Sunny.[user]{said}[assistant]")
    post(server, {"previous_response_id": first["id"]}, 400)


def test_what_is_not_to_be_kept_is_not(server: LiveServer) -> None:
    answering(server, "x")
    response = post(server, {"store": False})
    assert response["store"] is False
    error = get(server, response["id"], 404)["error"]
    assert (error["code"], error["type"]) == ("response_not_found", "invalid_request_error")
    assert post(server, {"previous_response_id": response["id"]}, 400)["error"]["code"] == "previous_response_not_found"
    get(server, f"{response['id']}/input_items", 404)
    assert server.http().delete(f"/v1/responses/{response['id']}").status_code == 404
    assert server.http().post(f"/v1/responses/{response['id']}/cancel").status_code == 404
    get(server, "nonsense", 404)


def test_a_response_is_told_again(server: LiveServer) -> None:
    answering(
        server, f"<think>\nhm\n</think>\n\nSo.{call_of('get_weather', city='a')}{call_of('apply_patch', input='p')}"
    )
    asked = {"tools": [WEATHER, PATCH], "include": ["reasoning.encrypted_content"]}
    events = stream(server, asked)
    response = events[-1]["response"]
    assert get(server, response["id"]) == response
    again = server.http().get(f"/v1/responses/{response['id']}", params={"stream": "true"})
    assert again.headers["content-type"].startswith("text/event-stream")
    retold = events_of(again.text)
    assert retold[-1]["response"] == response
    done = [event["item"] for event in retold if event["type"] == "response.output_item.done"]
    assert done == response["output"]

    def without_repeats(all_events: list[Any]) -> list[str]:
        kinds = [event["type"] for event in all_events]
        return [kind for place, kind in enumerate(kinds) if place == 0 or kinds[place - 1] != kind]

    assert without_repeats(retold) == without_repeats(events)
    get(server, response["id"], 400, stream="true", starting_after=3)


def test_pages_of_what_was_answered_to(server: LiveServer) -> None:
    answering(server, "x")
    first = post(server, {"input": [{"role": "user", "content": text} for text in "abc"]})
    second = post(server, {"input": "d", "previous_response_id": first["id"]})
    client = server.openai()
    listed: list[Any] = list(client.responses.input_items.list(second["id"], limit=2, order="asc"))
    texts = [item.content[0].text for item in listed if item.type == "message"]
    assert texts == ["a", "b", "c", "x", "d"]
    ids = [item.id for item in listed]
    assert len(set(ids)) == 5
    page = get(server, f"{second['id']}/input_items", limit=2)
    assert ([item["id"] for item in page["data"]], page["has_more"]) == (ids[:2:-1], True)
    page = get(server, f"{second['id']}/input_items", limit=2, after=ids[1])
    assert ([item["id"] for item in page["data"]], page["has_more"]) == (ids[:1], False)
    for wrong in ({"limit": 0}, {"limit": "x"}, {"limit": 101}, {"order": "up"}, {"after": "msg_1"}):
        assert get(server, f"{second['id']}/input_items", 400, **wrong)["error"]["param"] == next(iter(wrong))


def test_references_to_items(server: LiveServer) -> None:
    answering(server, f"Hm. {call_of('get_weather', city='a')}")
    first = post(server, {"tools": [WEATHER]})
    said, call = first["output"]
    question = get(server, f"{first['id']}/input_items")["data"][0]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "sun"}
    refer = [{"type": "item_reference", "id": item["id"]} for item in (question, said)]
    post(server, {"input": [*refer, {"id": call["id"]}, result]})
    assert prompt(server) == '[user]hi[assistant]Hm.<tool_call>get_weather{"city": "a"}</tool_call>[tool]sun[assistant]'


def gated(server: LiveServer) -> tuple[Gate, list[int]]:
    """The model says Hello, and goes on when the gate is open."""
    gate, ids = Gate(), server.text.tokenizer.encode("Hello", add_special_tokens=False)
    server.engine.script = lambda add: [[TokenEvent(add.request_id, 0, ids, None)], gate, *say(ids)(add)]
    return gate, ids


def test_a_stream_can_be_cancelled(server: LiveServer) -> None:
    gate, _ = gated(server)
    client = server.openai()
    stream: Any = client.responses.create(model=MODEL, input="hi", stream=True)
    created = next(iter(stream))
    assert created.type == "response.created"
    told: list[Any] = []
    cancelling = threading.Thread(target=lambda: told.append(client.responses.cancel(created.response.id)))
    assert gate.reached.wait(20)
    cancelling.start()
    server.engine.wait_for(lambda: bool(server.engine.cancelled))
    gate.open()
    events = list(stream)
    cancelling.join(20)
    last = events[-1]
    assert (last.type, last.response.status) == ("response.incomplete", "cancelled")
    assert told[0].output_text == last.response.output_text == "Hello"
    assert client.responses.retrieve(created.response.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError, match="cancelled already"):
        client.responses.cancel(created.response.id)


def test_what_is_cancelled_when_the_server_is_full(thinker: TextModel) -> None:
    with portico(thinker, replace(SETTINGS, queue=QueueLimits(requests=1, running=1))) as server:
        as_new(server)
        gate, _ = gated(server)
        client = server.openai()
        stream: Any = client.responses.create(model=MODEL, input="hi", stream=True, store=False)
        name = next(iter(stream)).response.id
        assert gate.reached.wait(20)
        with pytest.raises(openai.RateLimitError):
            client.responses.create(model=MODEL, input="hi")
        cancelling = threading.Thread(target=client.responses.cancel, args=(name,))
        cancelling.start()
        server.engine.wait_for(lambda: bool(server.engine.cancelled))
        gate.open()
        assert list(stream)[-1].response.status == "cancelled"
        cancelling.join(20)
        get(server, name, 404)


def test_a_client_that_hangs_up_ends_its_response(server: LiveServer) -> None:
    gate, _ = gated(server)
    stream: Any = server.openai().responses.create(model=MODEL, input="hi", stream=True)
    name = next(iter(stream)).response.id
    assert gate.reached.wait(20)
    stream.close()
    server.engine.wait_for(lambda: not server.engine.running)
    gate.open()
    get(server, name, 404)


def test_responses_outlive_the_server(thinker: TextModel, tmp_path: Path) -> None:
    class Reopened(MemoryStore):
        """A file of SQLite's, opened by the event loop that asks it first."""

        def __init__(self) -> None:
            super().__init__(SessionLimits())
            self.store: SqliteStore | None = None

        async def opened(self) -> SqliteStore:
            self.store = self.store or await SqliteStore.open(tmp_path / "s.db", SessionLimits())
            return self.store

        async def load(self, key: Any, now: float) -> bytes | None:
            return await (await self.opened()).load(key, now)

        async def save(self, key: Any, data: bytes, now: float) -> None:
            await (await self.opened()).save(key, data, now)

        async def close(self) -> None:
            await (await self.opened()).close()

    with portico(thinker, sessions=Sessions(store := Reopened())) as server:
        as_new(server)
        answering(server, "One.")
        first = post(server, {})
    asyncio.run(store.close())
    with portico(thinker, sessions=Sessions(store := Reopened())) as server:
        as_new(server)
        assert get(server, first["id"]) == first
        post(server, {"input": "And?", "previous_response_id": first["id"]})
        assert prompt(server) == "[user]hi[assistant]One.[user]And?[assistant]"
    asyncio.run(store.close())


@pytest.fixture
def keyed(thinker: TextModel) -> Iterator[LiveServer]:
    with portico(thinker, replace(SETTINGS, api_keys=("a", "b"))) as server:
        as_new(server)
        yield server


def test_responses_belong_to_an_api_key(keyed: LiveServer) -> None:
    answering(keyed, "x")
    mine, theirs = keyed.openai("a"), keyed.openai("b")
    response = mine.responses.create(model=MODEL, input="hi")
    item = response.output[0].id
    assert mine.responses.retrieve(response.id).id == response.id
    for ask in (theirs.responses.retrieve, theirs.responses.delete, theirs.responses.cancel):
        with pytest.raises(openai.NotFoundError):
            ask(response.id)
    with pytest.raises(openai.NotFoundError):
        theirs.responses.input_items.list(response.id)
    with pytest.raises(openai.BadRequestError, match="not kept"):
        theirs.responses.create(model=MODEL, input="hi", previous_response_id=response.id)
    with pytest.raises(openai.BadRequestError, match="no kept response"):
        theirs.responses.create(model=MODEL, input=[{"type": "item_reference", "id": str(item)}])
    mine.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        mine.responses.retrieve(response.id)


def test_limits_are_those_of_responses_alone(thinker: TextModel) -> None:
    now = [1000.0]
    sessions = Sessions(MemoryStore(SessionLimits(count=2, idle_seconds=60.0)), clock=lambda: now[0])
    with portico(thinker, sessions=sessions) as server:
        as_new(server)
        answering(server, "x")
        talk = {"prompt": "hi", "session_id": 5, "interactive_mode": True, "request_output_len": 8}
        assert server.http().post("/v1/chat/interactive", json=talk).status_code == 200
        names = [post(server, {})["id"] for _ in range(3)]
        get(server, names[0], 404)
        assert [get(server, name)["id"] for name in names[1:]] == names[1:]
        assert server.http().post("/v1/chat/interactive", json=talk).json()["history_tokens"] > 0
        now[0] += 61
        get(server, names[2], 404)


class _Broken(MemoryStore):
    async def save(self, key: Any, data: bytes, now: float) -> None:
        raise OSError("disk full")


def test_a_store_that_fails_is_told(thinker: TextModel) -> None:
    with portico(thinker, sessions=Sessions(_Broken(SessionLimits()))) as server:
        as_new(server)
        answering(server, "x")
        assert post(server, {}, 503)["error"]["code"] == "session_store_failed"
        *_, error, last = stream(server, {})
        assert (error["type"], last["type"]) == ("error", "response.failed")
        assert post(server, {"store": False})["status"] == "completed"


class _Garbage(MemoryStore):
    async def load(self, key: Any, now: float) -> bytes | None:
        return b"\x00garbage"


def test_what_cannot_be_read_is_not_kept(thinker: TextModel) -> None:
    with portico(thinker, sessions=Sessions(_Garbage(SessionLimits()))) as server:
        get(server, f"resp_{'0' * 32}", 404)
