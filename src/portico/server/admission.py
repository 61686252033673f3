"""How many requests may wait: one too many is told when to come again, before anything of it is read."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from portico.config.queue import QueueLimits
from portico.errors import RequestError
from portico.server.errors import ShapeOf, error_response, openai_shape

REMEMBERED = 64
"""Ends of requests by which the speed of the queue is reckoned."""
BYTES_PER_TOKEN = 4
"""Of a body, about: nothing of a request is read before it is admitted."""
LONGEST_SECONDS = 600
QUICK_PATHS = (
    "/tokenize",
    "/detokenize",
    "/v1/encode",
    "/v1/messages/count_tokens",
    "/chat/reset",
    "/stats",
    "/verbose_stats",
    "/debug/",
    "/ping",
    "/abort_request",
    "/v1/responses/",
)
"""What POST routes that do not ask the model begin with."""


class Admission:
    """Counts the requests that ask the model; over a limit the answer is 429 with an estimate in Retry-After."""

    def __init__(
        self,
        app: ASGIApp,
        limits: QueueLimits,
        clock: Callable[[], float] = time.monotonic,
        shape_of: ShapeOf = openai_shape,
    ) -> None:
        self._app = app
        self._shape_of = shape_of
        self._limits = limits
        self._clock = clock
        self._requests = 0
        self._tokens = 0
        self._ends: deque[float] = deque(maxlen=REMEMBERED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"].startswith(QUICK_PATHS):
            await self._app(scope, receive, send)
            return
        tokens = _tokens_of(scope)
        problem = self._problem(tokens)
        if problem is not None:
            headers = {"retry-after": str(self.retry_after())}
            await error_response(problem, self._shape_of(scope), headers)(scope, receive, send)
            return
        self._requests += 1
        self._tokens += tokens
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests -= 1
            self._tokens -= tokens
            self._ends.append(self._clock())

    def retry_after(self) -> int:
        """Whole seconds until all that waits now has begun, at the rate at which requests have ended of late."""
        waiting = max(1, self._requests - self._limits.running + 1)
        if len(self._ends) < 2:
            return 1
        seconds = (self._clock() - self._ends[0]) / len(self._ends)
        return min(LONGEST_SECONDS, max(1, math.ceil(waiting * seconds)))

    def _problem(self, tokens: int) -> RequestError | None:
        limits = self._limits
        if self._requests >= limits.requests:
            said = f"{self._requests} requests are running or waiting, the most that this server takes (--max-queue)"
        elif limits.tokens is not None and self._requests and self._tokens + tokens > limits.tokens:
            said = (
                f"about {self._tokens} tokens of prompts are in it, and {tokens} more are too many (--max-queue-tokens)"
            )
        else:
            return None
        return RequestError(
            f"The server is busy: {said}. Try again in about {self.retry_after()} s.",
            status=429,
            type="rate_limit_error",
            code="queue_full",
        )


def _tokens_of(scope: Scope) -> int:
    announced = Headers(scope=scope).get("content-length", "0")
    return int(announced) // BYTES_PER_TOKEN if announced.isdecimal() else 0
