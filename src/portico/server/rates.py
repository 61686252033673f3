"""How much each API key may ask in a minute: one too many is told when to come again, before anything of it is read.

Requests and tokens each have a bucket for a key, which fills all the time (a token bucket). What a request will cost is
not known when it comes: its prompt is reckoned by its bytes, and set right when it has ended.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portico.config.rates import RateLimits
from portico.errors import RequestError
from portico.server.admission import asks_model, tokens_of
from portico.server.errors import ShapeOf, error_response, openai_shape
from portico.server.terms import owner_of

HEADERS = tuple(
    f"x-ratelimit-{what}-{kind}" for kind in ("requests", "tokens") for what in ("limit", "remaining", "reset")
)
"""OpenAI's names."""


class Bucket:
    """Holds a minute's worth at most; below nothing is a debt, which must be filled up first."""

    def __init__(self, minute: int, clock: Callable[[], float]) -> None:
        self.minute = minute
        self._clock = clock
        self._left = float(minute)
        self._seen = clock()

    @property
    def left(self) -> float:
        """What may be taken now."""
        now = self._clock()
        self._left = min(self.minute, self._left + (now - self._seen) * self.minute / 60)
        self._seen = now
        return self._left

    def take(self, amount: float) -> None:
        """Take out an amount, there or not; a negative one is given back."""
        self._left = min(self.minute, self.left - amount)

    def seconds_until(self, amount: float) -> float:
        """How long until so much is there, or all that can be."""
        return max(0.0, (min(amount, self.minute) - self.left) * 60 / self.minute)


class Rates:
    """The buckets of all keys."""

    def __init__(
        self,
        limits: RateLimits,
        clock: Callable[[], float] = time.monotonic,
        *,
        others: Mapping[int, RateLimits] | None = None,
    ) -> None:
        """`others`: what some owners have in place of `limits`, None in it: the same."""
        self._limits = limits
        self._others = others or {}
        self._clock = clock
        self._buckets: dict[int, dict[str, Bucket]] = {}

    @property
    def are_limited(self) -> bool:
        """Whether there is any limit."""
        return any(each.requests or each.tokens for each in (self._limits, *self._others.values()))

    def take(self, owner: int, tokens: int) -> RequestError | float:
        """Take one request, and the tokens that it has about; or the error that says what is used up.

        Gives the tokens that were taken, to be given back by `settle`.
        """
        buckets, taken = self._of(owner), 0.0
        for kind, amount in (("requests", 1.0), ("tokens", float(max(1, tokens)))):
            if kind in buckets and buckets[kind].seconds_until(amount) > 0:
                return _used_up(kind, buckets[kind], amount)
        for kind, amount in (("requests", 1.0), ("tokens", float(max(1, tokens)))):
            if kind in buckets:
                buckets[kind].take(amount)
                taken = amount if kind == "tokens" else taken
        return taken

    def settle(self, owner: int, taken: float) -> None:
        """Give back what was taken for a request's tokens; those that it has really cost are counted by `spent`."""
        if (bucket := self._of(owner).get("tokens")) is not None:
            bucket.take(-taken)

    def spent(self, owner: int, tokens: int) -> None:
        """Count the tokens that a request has read and written."""
        if (bucket := self._of(owner).get("tokens")) is not None:
            bucket.take(tokens)

    def headers(self, owner: int) -> dict[str, str]:
        """What is left, by OpenAI's names."""
        fields = {}
        for kind, bucket in self._of(owner).items():
            fields[f"x-ratelimit-limit-{kind}"] = str(bucket.minute)
            fields[f"x-ratelimit-remaining-{kind}"] = str(max(0, math.floor(bucket.left)))
            fields[f"x-ratelimit-reset-{kind}"] = duration(bucket.seconds_until(bucket.minute))
        return fields

    def _of(self, owner: int) -> dict[str, Bucket]:
        if owner not in self._buckets:
            own = self._others.get(owner, self._limits)
            minutes = {
                "requests": own.requests or self._limits.requests,
                "tokens": own.tokens or self._limits.tokens,
            }
            self._buckets[owner] = {kind: Bucket(minute, self._clock) for kind, minute in minutes.items() if minute}
        return self._buckets[owner]


class RateLimiter:
    """Refuses what is over a key's rate with 429 and Retry-After, and tells on every answer what is left."""

    def __init__(self, app: ASGIApp, rates: Rates, shape_of: ShapeOf = openai_shape) -> None:
        self._app = app
        self._rates = rates
        self._shape_of = shape_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not asks_model(scope):
            await self._app(scope, receive, send)
            return
        owner = owner_of(scope)
        taken = self._rates.take(owner, tokens_of(scope))

        async def send_with_rates(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._rates.headers(owner))
            await send(message)

        if isinstance(taken, RequestError):
            await error_response(taken, self._shape_of(scope))(scope, receive, send_with_rates)
            return
        try:
            await self._app(scope, receive, send_with_rates)
        finally:
            self._rates.settle(owner, taken)


def duration(seconds: float) -> str:
    """Seconds as OpenAI's headers have them: 120ms, 8.64s, 6m0s."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds * 100) / 100, 60)
    return f"{minutes:.0f}m{rest:g}s" if minutes else f"{rest:g}s"


def _used_up(kind: str, bucket: Bucket, amount: float) -> RequestError:
    wait = max(1, math.ceil(bucket.seconds_until(amount)))
    return RequestError(
        f"This API key may use {bucket.minute} {kind} in a minute (--rate-limit-{kind}) and has used them. "
        f"Try again in {wait} s.",
        status=429,
        type=kind,
        code="rate_limit_exceeded",
        counts={"retry_after": wait},
    )
