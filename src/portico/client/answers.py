"""Answers of an OpenAI-style server as they are written, piece by piece."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

TIMEOUT = httpx.Timeout(None, connect=10.0)
"""An answer may take any time to begin: the server may be busy."""

Message = dict[str, Any]


class ChatError(Exception):
    """A server did not answer as asked; the text is for the person who asked."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """The HTTP status; None if there was no answer at all."""


@dataclass(slots=True)
class Call:
    """A tool call, as far as it has been written."""

    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class Answer:
    """An answer as far as it has come."""

    text: str = ""
    reasoning: str = ""
    calls: list[Call] = field(default_factory=list)
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int = 0
    pieces: int = 0
    """How many pieces came; about as many as tokens where the server does not count them."""
    asked: float = 0.0
    first: float | None = None
    """When the first piece came, on the clock of `asked`."""
    last: float = 0.0
    thought: float | None = None
    """When thinking ended: the first piece that is no reasoning."""

    @property
    def empty(self) -> bool:
        """Whether nothing was said."""
        return not (self.text or self.reasoning or self.calls)

    def message(self) -> Message:
        """It as a turn of the conversation."""
        message: Message = {"role": "assistant", "content": self.text}
        if self.calls:
            message["content"] = self.text or None
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self.calls
            ]
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        return message

    def speed(self) -> float | None:
        """Tokens a second from the first token on; None while there are fewer than two."""
        tokens = self.completion_tokens or self.pieces
        if self.first is None or tokens < 2 or self.last <= self.first:
            return None
        return (tokens - 1) / (self.last - self.first)

    def told(self) -> str:
        """One line of counts and speed."""
        about = "" if self.completion_tokens is not None else "about "
        tokens = self.pieces if self.completion_tokens is None else self.completion_tokens
        parts = [f"{about}{tokens} token{'' if tokens == 1 else 's'}"]
        if (speed := self.speed()) is not None:
            parts.append(f"{speed:.1f} tokens/s")
        if self.first is not None:
            parts.append(f"first after {self.first - self.asked:.2f} s")
        if self.prompt_tokens is not None:
            kept = f", {self.cached_tokens} cached" if self.cached_tokens else ""
            parts.append(f"prompt {self.prompt_tokens}{kept}")
        if self.finish_reason == "length":
            parts.append("cut at the limit of tokens")
        return " · ".join(parts)


class ChatServer:
    """A server with OpenAI's chat completions."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        """`url` with or without /v1."""
        self.url, options = place(url, api_key)
        self._http = httpx.Client(**options)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def models(self) -> list[str]:
        """The names the server has for its models; ChatError if it does not tell."""
        try:
            response = self._http.get(f"{self.url}/models", timeout=10.0)
        except httpx.HTTPError as error:
            raise gone(self.url, error) from error
        if not response.is_success:
            raise refused(response)
        try:
            return [str(card["id"]) for card in response.json()["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ChatError(f"{self.url}/models is not a list of models: is this an OpenAI-style server?") from error

    def ask(self, model: str, messages: Sequence[Message], fields: Mapping[str, Any]) -> Iterator[Answer]:
        """The answer to a conversation: the same object each time a piece of it has come, and at its end.

        Closing the iterator ends the request. Raises ChatError; what has come by then is in the object.
        """
        answer, body = Answer(asked=time.monotonic()), request(model, messages, fields)
        try:
            with self._http.stream("POST", f"{self.url}/chat/completions", json=body) as response:
                if not response.is_success:
                    response.read()
                    raise refused(response)
                for line in response.iter_lines():
                    if take(answer, line):
                        yield answer
        except httpx.HTTPError as error:
            raise gone(self.url, error, begun=not answer.empty) from error
        if answer.finish_reason is None:
            raise ChatError("the server ended the answer before its end")
        yield answer


def place(url: str, api_key: str | None) -> tuple[str, dict[str, Any]]:
    """The root of a server's API, and what its client is made with."""
    base = url.rstrip("/")
    headers = {} if not api_key else {"Authorization": f"Bearer {api_key}"}
    # A server on this machine is not behind a proxy.
    local = httpx.URL(base).host in ("127.0.0.1", "localhost", "::1")
    root = base if base.endswith("/v1") else f"{base}/v1"
    return root, {"headers": headers, "timeout": TIMEOUT, "trust_env": not local}


def request(model: str, messages: Sequence[Message], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The body that asks for a streamed answer."""
    usage = {"stream_options": {"include_usage": True}}
    return {**usage, **fields, "model": model, "messages": list(messages), "stream": True}


def take(answer: Answer, line: str) -> bool:
    """Take one line of a stream into the answer; says whether it showed something new. ChatError if it is one."""
    return line.startswith("data:") and _read(answer, line[5:].strip())


def gone(url: str, error: Exception, *, begun: bool = False) -> ChatError:
    """What to say of a server that cannot be reached or went away."""
    if begun or isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        return ChatError(f"the server at {url} has broken off the answer")
    if isinstance(error, httpx.TimeoutException):
        return ChatError(f"the server at {url} does not answer in time")
    return ChatError(f"there is no server at {url} ({error})")


def refused(response: httpx.Response) -> ChatError:
    """What to say of an answer that is an error."""
    message = ""
    try:
        message = _message(response.json())
    except ValueError:
        message = response.text.strip()[:200]
    if response.status_code == 401:
        return ChatError(f"the server wants a key, or another one: {message}", 401)
    if response.status_code == 404 and not message:
        message = "not found; is this an OpenAI-style server?"
    if response.status_code in (429, 503) and (wait := response.headers.get("retry-after")):
        message = f"{message} (again in {wait} s)"
    return ChatError(message or f"the server answers {response.status_code}", response.status_code)


def _message(body: Any) -> str:
    error = body.get("error", body) if isinstance(body, dict) else body
    for name in ("message", "detail"):
        if isinstance(error, dict) and name in error:
            return str(error[name])
    return str(error)


def _read(answer: Answer, data: str) -> bool:
    """Take one event into the answer; says whether it showed something new."""
    if not data or data == "[DONE]":
        return False
    try:
        chunk = json.loads(data)
    except ValueError as error:
        raise ChatError(f"the server sent what is not JSON: {data[:80]!r}") from error
    if "error" in chunk:
        raise ChatError(_message(chunk))
    if usage := chunk.get("usage"):
        answer.prompt_tokens, answer.completion_tokens = usage.get("prompt_tokens"), usage.get("completion_tokens")
        answer.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    if not chunk.get("choices"):
        return False
    choice = chunk["choices"][0]
    answer.finish_reason = choice.get("finish_reason") or answer.finish_reason
    return _add(answer, choice.get("delta") or {})


def _add(answer: Answer, delta: Mapping[str, Any]) -> bool:
    text = delta.get("content") or ""
    reasoning = delta.get("reasoning_content") or delta.get("reasoning") or ""
    calls = delta.get("tool_calls") or []
    if not (text or reasoning or calls):
        return False
    answer.last = time.monotonic()
    answer.first = answer.first or answer.last
    if (text or calls) and answer.thought is None:
        answer.thought = answer.last
    answer.pieces += 1
    answer.text += text
    answer.reasoning += reasoning
    for part in calls:
        index = part.get("index", len(answer.calls))
        if not 0 <= index <= len(answer.calls):
            raise ChatError(f"the server sent a tool call numbered {index} after {len(answer.calls)}")
        if index == len(answer.calls):
            answer.calls.append(Call())
        call, function = answer.calls[index], part.get("function") or {}
        call.id = part.get("id") or call.id
        call.name = function.get("name") or call.name
        call.arguments += function.get("arguments") or ""
    return True
