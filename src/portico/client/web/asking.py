"""A server's answers for a program that waits for many at once; the twin of `ChatServer`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from portico.client.answers import Answer, ChatError, Message, gone, place, refused, request, take


@dataclass(frozen=True, slots=True)
class Model:
    """A model as its server lists it."""

    name: str
    reads_images: bool


class AsyncChatServer:
    """A server with OpenAI's chat completions."""

    def __init__(self, url: str) -> None:
        self.url, options = place(url, None)
        self._http = httpx.AsyncClient(**options)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def models(self, key: str | None) -> list[Model]:
        """The server's models; ChatError if it does not tell."""
        try:
            response = await self._http.get(f"{self.url}/models", headers=_bearer(key), timeout=10.0)
        except httpx.HTTPError as error:
            raise gone(self.url, error) from error
        if not response.is_success:
            raise refused(response)
        try:
            return [Model(str(card["id"]), "image" in _modalities(card)) for card in response.json()["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ChatError(f"{self.url}/models is not a list of models: is this an OpenAI-style server?") from error

    async def ask(
        self, model: str, messages: Sequence[Message], fields: Mapping[str, Any], key: str | None
    ) -> AsyncIterator[Answer]:
        """The answer so far, each time a piece of it has come; closing the iterator ends the request. ChatError."""
        answer, body = Answer(asked=time.monotonic()), request(model, messages, fields)
        url = f"{self.url}/chat/completions"
        try:
            async with self._http.stream("POST", url, json=body, headers=_bearer(key)) as response:
                if not response.is_success:
                    await response.aread()
                    raise refused(response)
                async for line in response.aiter_lines():
                    if take(answer, line):
                        yield answer
        except httpx.HTTPError as error:
            raise gone(self.url, error, begun=not answer.empty) from error
        if answer.finish_reason is None:
            raise ChatError("the server ended the answer before its end")
        yield answer


def _bearer(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}


def _modalities(card: Mapping[str, Any]) -> Sequence[str]:
    """What a model reads, where its server says so."""
    told = card.get("input_modalities") or (card.get("architecture") or {}).get("input_modalities")
    return told if isinstance(told, list) else []
