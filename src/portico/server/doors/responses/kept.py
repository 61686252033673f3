"""Responses that are kept for those who ask for them later, each by itself with all that came before it."""

from __future__ import annotations

from typing import Any

import msgspec

from portico.errors import RequestError
from portico.server.doors.responses.ids import is_response_id, response_of
from portico.server.doors.responses.items import Item
from portico.server.doors.responses.response import Response
from portico.server.service import Service
from portico.server.sessions.history import Key

KIND = "responses"


class Kept(msgspec.Struct, frozen=True):
    """A response, and the items that the model answered to; stored as msgpack."""

    response: dict[str, Any]
    input: list[dict[str, Any]]


class Shelf:
    """The responses of one API key, as one request sees them."""

    def __init__(self, service: Service, key_digest: str) -> None:
        self._service = service
        self._key_digest = key_digest
        self._read: dict[str, Kept | None] = {}
        """What a request has read: many items of one response may be referred to."""

    def key(self, name: str) -> Key:
        """Where a response is kept."""
        return self._service.session(self._key_digest, name, KIND)

    async def get(self, name: str) -> Kept | None:
        """The response of that id; None: it is not kept."""
        if is_response_id(name) and name not in self._read:
            self._read[name] = await self._load(name)
        return self._read.get(name)

    async def _load(self, name: str) -> Kept | None:
        data = await self._service.sessions.records.load(self.key(name))
        try:
            return None if data is None else msgspec.msgpack.decode(data, type=Kept)
        except msgspec.DecodeError:  # another version's
            return None

    async def of_path(self, name: str) -> Kept:
        """The same; RequestError 404 if it is not kept."""
        kept = await self.get(name)
        if kept is None:
            raise not_found(name)
        return kept

    async def item(self, name: str) -> Item | None:
        """The item of that id, of what was read or answered; None: it is not kept."""
        response = response_of(name)
        kept = None if response is None else await self.get(response)
        if kept is None:
            return None
        return next((item for item in (*kept.input, *kept.response["output"]) if item["id"] == name), None)

    async def save(self, response: Response, given: list[Item]) -> None:
        """Keep a response."""
        await self._service.sessions.records.save(
            self.key(response["id"]), msgspec.msgpack.encode(Kept(response, given))
        )

    async def delete(self, name: str) -> None:
        """Forget a response; what goes on from it has all that it needs."""
        await self.of_path(name)
        await self._service.sessions.records.delete(self.key(name))


def not_found(name: str) -> RequestError:
    """There is no such response, or it is another's."""
    return RequestError(
        f"The response {name[:80]!r} is not kept here; it never was, or was forgotten or deleted.",
        param="response_id",
        status=404,
        code="response_not_found",
    )
