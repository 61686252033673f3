"""What can be done with a response afterwards: GET, DELETE, cancel, and the list of what it answered to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from portico.errors import RequestError
from portico.server.disconnect import while_connected
from portico.server.doors.responses.items import Item
from portico.server.doors.responses.kept import Shelf
from portico.server.doors.responses.parts import Event, retold
from portico.server.doors.responses.run import Runs, as_stream
from portico.server.doors.responses.schema import DeletedResponse, ItemList, ResponseObject
from portico.server.middleware import context_of
from portico.server.service import Service
from portico.server.sse import EventStream
from portico.server.wording import wrong

MOST_ITEMS, DEFAULT_ITEMS = 100, 20
"""Of one page."""
PATH = "/v1/responses/{response_id}"
NOT_KEPT: dict[int | str, dict[str, Any]] = {404: {"description": "The response is not kept."}}
STREAM = {"name": "stream", "in": "query", "schema": {"type": "boolean"}, "description": "Send its events once more."}
PAGE: list[dict[str, Any]] = [
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": MOST_ITEMS, "default": 20}},
    {"name": "order", "in": "query", "schema": {"type": "string", "enum": ["asc", "desc"], "default": "desc"}},
    {
        "name": "after",
        "in": "query",
        "schema": {"type": "string"},
        "description": "The id of the item before the page.",
    },
]


def router(service: Service, runs: Runs) -> APIRouter:
    """The routes of kept responses."""
    routes = APIRouter(tags=["responses"])

    def shelf_of(http: Request) -> Shelf:
        return Shelf(service, context_of(http.scope).key_digest)

    @routes.get(
        PATH,
        response_model=None,
        responses={200: {"model": ResponseObject}, **NOT_KEPT},
        openapi_extra={"parameters": [STREAM]},
    )
    async def retrieve_response(response_id: str, http: Request) -> Response:
        """A kept response; with `stream` as the events that tell of it."""
        response = (await shelf_of(http).of_path(response_id)).response
        if http.query_params.get("starting_after") is not None:
            raise wrong("starting_after", "is not supported: events are not kept, only what they told of")
        if http.query_params.get("stream") != "true":
            return _json(response)
        return EventStream(as_stream(_again(response)), on_crash=lambda error: b"")

    @routes.delete(PATH, response_model=None, responses={200: {"model": DeletedResponse}, **NOT_KEPT})
    async def delete_response(response_id: str, http: Request) -> Response:
        """Forget a response; others that go on from it have all that they need."""
        await shelf_of(http).delete(response_id)
        return _json({"id": response_id, "object": "response.deleted", "deleted": True})

    @routes.post(
        f"{PATH}/cancel",
        response_model=None,
        responses={200: {"model": ResponseObject}, 400: {"description": "It has ended already."}, **NOT_KEPT},
    )
    async def cancel_response(response_id: str, http: Request) -> Response:
        """End a response that is being streamed where it is."""
        await http.body()
        shelf = shelf_of(http)
        run = runs.get(shelf.key(response_id))
        if run is not None:
            return _json(await while_connected(http.receive, run.cancel()))
        status = (await shelf.of_path(response_id)).response["status"]
        raise RequestError(
            f"The response {response_id!r} is {status} already; only one that is being streamed can be cancelled.",
            param="response_id",
            code="response_ended",
        )

    @routes.get(
        f"{PATH}/input_items",
        response_model=None,
        responses={200: {"model": ItemList}, **NOT_KEPT},
        openapi_extra={"parameters": PAGE},
    )
    async def list_input_items(response_id: str, http: Request) -> Response:
        """What the model answered to, the items of the responses before it among them, by the page."""
        kept = await shelf_of(http).of_path(response_id)
        return _json(_page(kept.input, http))

    return routes


async def _again(response: dict[str, Any]) -> AsyncGenerator[Event, None]:
    """A response as a stream that has each text in one piece."""
    before = {**response, "status": "in_progress", "output": [], "usage": None, "completed_at": None}
    before |= {"error": None, "incomplete_details": None}
    events: list[Event] = [{"type": f"response.{name}", "response": before} for name in ("created", "in_progress")]
    for place, item in enumerate(response["output"]):
        events += [
            {**event, "item": dict(event["item"])} if "item" in event else event for event in retold(item, place)
        ]
    status = response["status"]
    ending = status if status in ("completed", "failed") else "incomplete"
    events.append({"type": f"response.{ending}", "response": response})
    for number, event in enumerate(events):
        yield {"type": event["type"], "sequence_number": number, **event}


def _page(items: Sequence[Item], http: Request) -> dict[str, Any]:
    asked = http.query_params
    limit = asked.get("limit", str(DEFAULT_ITEMS))
    if not (limit.isascii() and limit.isdecimal() and 1 <= int(limit) <= MOST_ITEMS):
        raise wrong("limit", f"is {limit!r:.80}; it must be from 1 to {MOST_ITEMS}")
    order = asked.get("order", "desc")
    if order not in ("asc", "desc"):
        raise wrong("order", f"is {order!r:.80}; it must be asc or desc")
    listed = list(items if order == "asc" else reversed(items))
    after = asked.get("after")
    if after is not None:
        place = next((place for place, item in enumerate(listed) if item["id"] == after), None)
        if place is None:
            raise wrong("after", f"is {after!r:.80}, which is no item of this response")
        listed = listed[place + 1 :]
    page = listed[: int(limit)]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(page) < len(listed),
    }


def _json(body: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")
