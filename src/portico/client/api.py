"""A client with the methods and arguments of LMDeploy's APIClient."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import httpx

DONE = "data: [DONE]"
NO_TIME_LIMIT = httpx.Timeout(None, connect=30.0)

Messages = str | Sequence[Mapping[str, Any]]
Json = dict[str, Any]


def get_model_list(api_url: str, headers: Mapping[str, str] | None = None) -> list[str] | None:
    """The names that the server at `…/v1/models` lists, or None if it refuses to."""
    response = httpx.get(api_url, headers=dict(headers or {}), timeout=NO_TIME_LIMIT)
    return [card["id"] for card in response.json()["data"]] if response.is_success else None


def json_loads(content: str) -> Any:
    """JSON read, or an empty string and a warning if it is none."""
    try:
        return json.loads(content)
    except json.JSONDecodeError:
        warnings.warn(f"not JSON: {content[:200]}", stacklevel=2)
        return ""


class APIClient:
    """Talks to a server at a URL such as http://localhost:23333.

    Generation gives an iterator of dictionaries, one if `stream` is false; an error of the server comes as one too,
    with its `message` or under `error`. A parameter left None is the server's own default. Further keyword arguments
    become fields of the request.
    """

    def __init__(self, api_server_url: str, api_key: str | None = None, **kwargs: Any) -> None:
        """`kwargs` are those of httpx.Client, such as `timeout` (default: none but for connecting) or `verify`."""
        self.api_server_url = api_server_url.rstrip("/")
        self.api_key = api_key
        headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        self._http = httpx.Client(base_url=self.api_server_url, headers=headers, **{"timeout": NO_TIME_LIMIT, **kwargs})

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @cached_property
    def available_models(self) -> list[str] | None:
        """The names that the server has for its model, or None if it refuses to tell."""
        response = self._http.get("/v1/models")
        return [card["id"] for card in response.json()["data"]] if response.is_success else None

    def encode(
        self, input: str | Sequence[str], do_preprocess: bool | None = False, add_bos: bool | None = True
    ) -> tuple[Any, Any]:
        """Token ids and their number, or a list of each for a list of texts; raises httpx.HTTPStatusError."""
        body = {"input": input, "do_preprocess": do_preprocess, "add_bos": add_bos}
        response = self._http.post("/v1/encode", json=body)
        response.raise_for_status()
        output = response.json()
        return output["input_ids"], output["length"]

    def chat_completions_v1(
        self,
        model: str,
        messages: Messages,
        temperature: float | None = 0.7,
        top_p: float | None = 1.0,
        logprobs: bool | None = False,
        top_logprobs: int | None = 0,
        n: int | None = 1,
        max_completion_tokens: int | None = None,
        max_tokens: int | None = None,
        stop: str | Sequence[str] | None = None,
        stream: bool | None = False,
        presence_penalty: float | None = 0.0,
        frequency_penalty: float | None = 0.0,
        user: str | None = None,
        repetition_penalty: float | None = 1.0,
        ignore_eos: bool | None = False,
        skip_special_tokens: bool | None = True,
        spaces_between_special_tokens: bool | None = True,
        top_k: int | None = 40,
        min_new_tokens: int | None = None,
        min_p: float | None = 0.0,
        logit_bias: Mapping[str, float] | None = None,
        stream_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Iterator[Json]:
        """The answer to a conversation, as the chat completions API gives it."""
        fields = _given(locals(), leave_out=() if logprobs else ("top_logprobs",))
        return self._generate("/v1/chat/completions", fields)

    def completions_v1(
        self,
        model: str,
        prompt: str | Sequence[Any],
        suffix: str | None = None,
        temperature: float | None = 0.7,
        n: int | None = 1,
        max_completion_tokens: int | None = None,
        max_tokens: int | None = 16,
        stream: bool | None = False,
        stop: str | Sequence[str] | None = None,
        top_p: float | None = 1.0,
        top_k: int | None = 40,
        user: str | None = None,
        repetition_penalty: float | None = 1.0,
        ignore_eos: bool | None = False,
        skip_special_tokens: bool | None = True,
        spaces_between_special_tokens: bool | None = True,
        stream_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Iterator[Json]:
        """How one prompt or several go on, as the completions API gives it; `max_completion_tokens` is `max_tokens`."""
        fields = _given(locals(), leave_out=("max_completion_tokens",))
        if max_completion_tokens is not None:
            fields["max_tokens"] = max_completion_tokens
        return self._generate("/v1/completions", fields)

    def chat_interactive_v1(
        self,
        prompt: Messages,
        image_url: str | Sequence[str] | None = None,
        session_id: int = -1,
        interactive_mode: bool = False,
        stream: bool = False,
        stop: str | Sequence[str] | None = None,
        request_output_len: int | None = None,
        top_p: float = 0.8,
        top_k: int = 40,
        temperature: float = 0.8,
        repetition_penalty: float = 1.0,
        ignore_eos: bool = False,
        skip_special_tokens: bool | None = True,
        adapter_name: str | None = None,
        **kwargs: Any,
    ) -> Iterator[Json]:
        """The next turn of a conversation that the server keeps: text, tokens, input_tokens, history_tokens and
        finish_reason, in a stream with the new text each time.
        """
        return self._generate("/v1/chat/interactive", _given(locals()))

    def chat(
        self,
        prompt: str,
        session_id: int,
        request_output_len: int = 512,
        stream: bool = False,
        top_p: float = 0.8,
        top_k: int = 40,
        temperature: float = 0.8,
        repetition_penalty: float = 1.0,
        ignore_eos: bool = False,
    ) -> Iterator[tuple[str, int, str | None]]:
        """The next turn as text, number of tokens and finish_reason; ValueError for session_id -1."""
        if session_id == -1:
            raise ValueError("session_id is -1; it must be another number, the same for all turns of a conversation")
        fields = _given(locals())
        for item in self._generate("/v1/chat/interactive", {**fields, "interactive_mode": True}):
            yield _told(item)

    def end_session(self, session_id: int) -> Iterator[Json]:
        """Make the server forget a conversation; nothing happens before the first item is asked for."""
        return self.chat_interactive_v1("", session_id=session_id, request_output_len=0, interactive_mode=False)

    def cancel(self, session_id: int) -> Json:
        """End what runs in a conversation; what has been said of it is kept."""
        (answer,) = self.chat_interactive_v1("", session_id=session_id, cancel=True)
        return answer

    def _generate(self, path: str, fields: Json) -> Iterator[Json]:
        with self._http.stream("POST", path, json=fields) as response:
            for line in response.iter_lines():
                if line.strip() and line != DONE:
                    yield json_loads(line.removeprefix("data: "))


def get_streaming_response(
    prompt: str,
    api_url: str,
    session_id: int,
    request_output_len: int = 512,
    stream: bool = True,
    interactive_mode: bool = False,
    ignore_eos: bool = False,
    cancel: bool = False,
    top_p: float = 0.8,
    temperature: float = 0.7,
    api_key: str | None = None,
) -> Iterator[tuple[str, int, str | None]]:
    """A turn of a conversation at `…/v1/chat/interactive`, as text, number of tokens and finish_reason."""
    client = APIClient(api_url.removesuffix("/v1/chat/interactive"), api_key)
    try:
        for item in client.chat_interactive_v1(
            prompt,
            session_id=session_id,
            request_output_len=request_output_len,
            stream=stream,
            interactive_mode=interactive_mode,
            ignore_eos=ignore_eos,
            cancel=cancel,
            top_p=top_p,
            temperature=temperature,
        ):
            yield _told(item)
    finally:
        client.close()


def _told(item: Json) -> tuple[str, int, str | None]:
    return item.get("text", ""), item.get("tokens", 0), item.get("finish_reason")


def _given(arguments: Mapping[str, Any], leave_out: Sequence[str] = ()) -> Json:
    """A method's arguments as fields of a request."""
    named = {name: value for name, value in arguments.items() if name not in ("self", "kwargs", *leave_out)}
    return {name: value for name, value in {**named, **arguments.get("kwargs", {})}.items() if value is not None}
