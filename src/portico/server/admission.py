"""How many requests may wait: one too many is told when to come again, before anything of it is read.

A request counts as one until its body is read, then as many as it wants answers: every choice of every prompt waits and
runs by itself. If those do not fit it is refused too, before any template or tokenizer has seen it; unless nothing
waits, for else one that wants many would never come in.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from portico.config.queue import QueueLimits
from portico.errors import RequestError
from portico.protocol.limits import LIMITS
from portico.server.errors import ShapeOf, error_response, openai_shape
from portico.server.middleware import context_of

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


TICKET = "portico.ticket"


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
        if not asks_model(scope):
            await self._app(scope, receive, send)
            return
        tokens = tokens_of(scope)
        problem = self._problem(tokens)
        if problem is not None:
            await error_response(problem, self._shape_of(scope))(scope, receive, send)
            return
        ticket = scope[TICKET] = Ticket(self)
        self._requests += 1
        self._tokens += tokens
        try:
            await self._app(scope, receive, send)
        finally:
            self._requests -= ticket.answers
            self._tokens -= tokens
            if (
                not 400 <= context_of(scope).status < 500
            ):  # what was wrong ended soon, and says nothing of how long the others take
                self._ends += [self._clock()] * ticket.answers

    def widen(self, more: int) -> None:
        """Count further answers of a request that was let in as one; RequestError if they are too many now."""
        limits = self._limits
        if self._requests + more > limits.requests and self._requests > limits.running:
            raise self._refusal(
                f"{self._requests} requests and answers are running or waiting, and {more} more are too many "
                "(--max-queue)"
            )
        self._requests += more

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
            said = (
                f"{self._requests} requests and answers are running or waiting, the most that this server takes is "
                f"{limits.requests} (--max-queue)"
            )
        elif limits.tokens is not None and self._requests and self._tokens + tokens > limits.tokens:
            said = (
                f"about {self._tokens} tokens of prompts are in it, and {tokens} more are too many (--max-queue-tokens)"
            )
        else:
            return None
        return self._refusal(said)

    def _refusal(self, said: str) -> RequestError:
        seconds = self.retry_after()
        return RequestError(
            f"The server is busy: {said}. Try again in about {seconds} s.",
            status=429,
            type="rate_limit_error",
            code="queue_full",
            counts={"retry_after": seconds},
        )


class Ticket:
    """What a request that was let in counts as."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.answers = 1

    def widen(self, answers: int) -> None:
        """Let it count as so many; RequestError 429 if these are too many now."""
        self._admission.widen(answers - self.answers)
        self.answers = answers


def count_answers(scope: Scope, answers: int) -> None:
    """Count a request as what its body turns out to want; RequestError 429 if that is too much now.

    No number of a body is worked with as it is: more than one request may have is refused later, by name.
    """
    ticket, answers = scope.get(TICKET), min(answers, LIMITS.answers)
    if isinstance(ticket, Ticket) and answers > ticket.answers:
        ticket.widen(answers)


def asks_model(scope: Scope) -> bool:
    """Whether a request is one of those that the model answers; MLC-Chat's may come by GET."""
    if scope["type"] != "http" or scope["method"] not in ("POST", "GET"):
        return False
    if scope["method"] == "GET":
        return bool(scope["path"] == "/v1/chat/completions")
    return not scope["path"].startswith(QUICK_PATHS)


def tokens_of(scope: Scope) -> int:
    """About how many tokens a request's prompt has."""
    announced = Headers(scope=scope).get("content-length", "0")
    return int(announced) // BYTES_PER_TOKEN if announced.isdecimal() else 0
